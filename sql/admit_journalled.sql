-- A journalled reply whose transaction has got a time goes to that time's billing day; what else was added goes with it.
UPDATE journal
SET verified_order = coalesce(:verified_at, 9223372036854775807),
    merchant_biz_id = :merchant_biz_id,
    product_code = :product_code,
    region = :region
WHERE verified_order = coalesce(:known_verified_at, 9223372036854775807) AND number = :number
