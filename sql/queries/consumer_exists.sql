SELECT EXISTS (SELECT FROM philotes.cdc_consumers WHERE consumer = $1)
