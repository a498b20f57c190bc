-- Quotas beside events a second. NULL: bytes follow from the events, and a day has no limit of its own.

ALTER TABLE tenant ADD COLUMN quota_bytes_per_second double precision, ADD COLUMN quota_events_per_day bigint;
