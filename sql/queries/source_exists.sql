-- Do the publication $1 and the slot $2 exist?
SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1),
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots
               WHERE slot_name = $2)
