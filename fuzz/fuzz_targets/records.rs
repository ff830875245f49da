#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| idvault_fuzz::records(bytes));
