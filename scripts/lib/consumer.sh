# philotes consumer list | add NAME | drop NAME

# consumer_sql VERB SQL [ARGUMENT ...]: leaves rows of two columns or more in
# REPLY.  The server's messages come with them, so lines without a tab are
# dropped.
consumer_sql()
{
	local verb=$1 sql=$2
	shift 2
	REPLY=$(LC_ALL=C psql_pinned "${PHILOTES_BUFFER_URL-}" -At -F $'\t' \
		-v VERBOSITY=verbose "$@" -f "$share/sql/operator/server.sql" \
		-f "$share/sql/operator/schema.sql" \
		-f - 2>&1 <<<"$sql") ||
		explain_psql "$REPLY" "$verb" "${name:-consumers}"
	REPLY=$(grep -aF $'\t' <<<"$REPLY") || :
}

# Prints consumer, source, waiting events, and the seconds since the first of
# them was written; "-" if that is unknown, since the server's clock was set
# back.
consumer_list()
{
	local rows row consumer
	# control characters are replaced, so that a row is one line
	consumer_sql list "
		SELECT regexp_replace(c.consumer, '[\x01-\x1f]', '?', 'g'),
		       regexp_replace(l.source_id, '[\x01-\x1f]', '?', 'g'),
		       l.events_behind,
		       CASE WHEN l.events_behind > 0 AND l.oldest_age IS NULL
		       THEN '-' ELSE coalesce(extract(epoch FROM l.oldest_age),
		           0)::numeric(20, 1)::text END
		FROM philotes.cdc_consumers c
		LEFT JOIN philotes.lag() l USING (consumer)
		ORDER BY c.consumer, l.source_id"
	rows=$REPLY
	[[ -n $rows ]] || return 0
	while IFS= read -r row; do
		one_line "${row%%$'\t'*}"
		consumer=$REPLY row=${row#*$'\t'}
		one_line "${row%%$'\t'*}"
		say "$consumer"$'\t'"$REPLY"$'\t'"${row#*$'\t'}"
	done <<<"$rows"
}

# The limits are those of buffer-batch.  An existing consumer can be dropped
# whatever its name.
check_name()
{
	local LC_ALL=C
	((${#name} > 0 && ${#name} <= 512)) ||
		wrong_words "a consumer's name has 1 to 512 bytes, not ${#name}"
}

consumer_add()
{
	check_name
	consumer_sql add "SELECT 'new', philotes.add_consumer(:'name', :'latest')" \
		-v "name=$name" -v "latest=$([[ $start == latest ]] && echo t ||
			echo f)"
	if [[ $REPLY == *t ]]; then
		log info "consumer \"$name\" begins at the $start event"
	else
		log info "consumer \"$name\" exists already and keeps its position"
	fi
}

consumer_drop()
{
	consumer_sql drop "SELECT 'dropped', philotes.drop_consumer(:'name')" \
		-v "name=$name"
	[[ $REPLY == *t ]] || die 78 drop "$name" "there is no such consumer" \
		'"philotes consumer list" prints the consumers.'
	log info "dropped consumer \"$name\"; events that only it had not \
processed may be removed"
}

consumer()
{
	local name=${words[2]-}
	locate_state
	check_databases
	use_buffer
	"consumer_${words[1]}"
}
