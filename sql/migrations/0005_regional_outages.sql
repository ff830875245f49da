-- Why a record is lost or endangered: the runs that ended while a product was not answered about in a region. Each region is
-- served by an endpoint of its own, so that another of the same product may have been well.
CREATE TABLE regional_outages (
    product_code TEXT    NOT NULL,
    region       TEXT    NOT NULL,
    run_number   INTEGER NOT NULL REFERENCES runs (run_number),
    PRIMARY KEY (product_code, region, run_number)
) STRICT, WITHOUT ROWID;

-- Which region an earlier one was of is not known: it may have been any of the product's.
INSERT INTO regional_outages (product_code, region, run_number)
SELECT outages.product_code, known.region, outages.run_number
FROM outages
JOIN (SELECT DISTINCT product_code, region FROM transactions) AS known USING (product_code);

DROP TABLE outages;
