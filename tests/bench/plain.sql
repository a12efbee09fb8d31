-- One table, marked by UPDATE and cleaned by DELETE: what the buffer would be
-- without its ledgers, to measure it beside them.
CREATE SCHEMA philotes;

CREATE TABLE philotes.cdc_events (
    id             BIGSERIAL PRIMARY KEY,
    source_id      TEXT        NOT NULL,
    schema_name    TEXT        NOT NULL,
    table_name     TEXT        NOT NULL,
    operation      TEXT        NOT NULL,
    lsn            TEXT        NOT NULL,
    transaction_id BIGINT,
    key_columns    JSONB,
    before_data    JSONB,
    after_data     JSONB,
    event_time     TIMESTAMPTZ NOT NULL,
    metadata       JSONB,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    processed_at   TIMESTAMPTZ
);

CREATE INDEX idx_cdc_events_unprocessed
    ON philotes.cdc_events (source_id, created_at) WHERE processed_at IS NULL;

CREATE INDEX idx_cdc_events_processed
    ON philotes.cdc_events (processed_at) WHERE processed_at IS NOT NULL;
