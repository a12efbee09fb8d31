# The settings of philotes, from the environment or else philotes.conf(5), and
# the variables that are derived from them.
#
#   read_config FILE       exports the settings that the environment lacks
#   check_databases        dies unless a database was given
#   check_settings         dies unless a run can begin with these settings
#   locate_state           sets $state, $run, $buffer_cluster and $embedded, and
#                          finds the key of snapshots
#   make_state             makes the directories $state and $run

readonly default_config=/etc/philotes/philotes.conf

# The variables that a file may set: our own, and those of libpq that name a
# server.  PGPASSWORD is not among them: a password belongs in PGPASSFILE.
readonly setting_names=" PHILOTES_SOURCE_URL PHILOTES_BUFFER_URL
	PHILOTES_SOURCE_ID PHILOTES_SLOT PHILOTES_PUBLICATION PHILOTES_TABLES
	PHILOTES_HEARTBEAT PHILOTES_SERVER_TIMEOUT PHILOTES_SNAPSHOT
	PHILOTES_SNAPSHOT_PAUSE PHILOTES_SNAPSHOT_WORKERS
	PHILOTES_SNAPSHOT_KEY_FILE PHILOTES_NEW_TABLES PHILOTES_ON_GAP
	PHILOTES_BUFFER_ENABLED PHILOTES_BUFFER_BATCH_SIZE
	PHILOTES_BUFFER_FLUSH_INTERVAL PHILOTES_BUFFER_RETENTION
	PHILOTES_BUFFER_CLEANUP_INTERVAL PHILOTES_HANDLER
	PHILOTES_HANDLER_MODE PHILOTES_WINDOW PHILOTES_STREAM_HANDLER PHILOTES_STATE_DIR PHILOTES_BIN
	PHILOTES_LOG_FORMAT PHILOTES_LOG_TIMESTAMPS PGHOST PGHOSTADDR PGPORT
	PGDATABASE PGUSER PGSERVICE PGSERVICEFILE PGPASSFILE PGSSLMODE
	PGSSLROOTCERT PGSSLCERT PGSSLKEY PGSSLCRL PGAPPNAME "

# bad_line REASON [HINT]: refuses line $number of $file
bad_line()
{
	die 78 read "$file:$number" "$1" "${2-}"
}

# The value is all that follows the first "=".  Quotes and spaces around it,
# which a shell would remove, are refused.
parse_line()
{
	local text=$1
	[[ $text =~ ^[[:blank:]]*(#.*)?$ ]] && return 0
	[[ ${text//$'\t'/} != *[[:cntrl:]]* ]] ||
		bad_line "it has a control character, perhaps a carriage return"
	[[ $text =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] ||
		bad_line "it is not KEY=value" "No spaces before the \"=\", no export."
	key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
	[[ ${setting_names//[[:space:]]/ } == *" $key "* ]] ||
		bad_line "there is no setting \"$key\"" "See philotes.conf(5)."
	[[ -z ${line_of[$key]-} ]] ||
		bad_line "$key is already set in line ${line_of[$key]}"
	[[ ! $value =~ ^[[:blank:]]|[[:blank:]]$ ]] ||
		bad_line "the value begins or ends with a space"
	[[ ! $value =~ ^\'[^\']*\'$ && ! $value =~ ^\"[^\"]*\"$ ]] ||
		bad_line "the value is in quotes" "It needs none; take them off."
	line_of[$key]=$number
}

# As libpq does with PGPASSFILE.
check_secrecy()
{
	local mode
	mode=$(stat -Lc %a "$file") || return 0
	(((8#$mode & 8#007) == 0)) ||
		bad_line "it has a password, and other users have access to the file" \
			"chmod o= $file"
}

read_config()
{
	local file=$1 number=0 text key value
	local -A line_of=()
	[[ -f $file || -p $file ]] || die 78 read "$file" "there is no such file" \
		"It holds one setting on each line: see philotes.conf(5)."
	[[ -r $file ]] || die 77 read "$file" "permission denied" \
		"Run philotes as a user who may read it, or name another by --config."
	while IFS= read -r text || [[ -n $text ]]; do
		number=$((number + 1)) key=''
		parse_line "$text"
		[[ -n $key ]] || continue
		[[ $key != PHILOTES_*_URL ]] || ! has_password "$value" ||
			check_secrecy
		[[ -v $key ]] || export "$key=$value"
	done <"$file"
}

check_databases()
{
	[[ -n ${PHILOTES_SOURCE_URL-}${PHILOTES_BUFFER_URL-} ]] ||
		die 78 find "PHILOTES_SOURCE_URL" "no database was given" \
			"Set PHILOTES_SOURCE_URL or PHILOTES_BUFFER_URL, or both."
}

# check_choice NAME WORD ...: the setting is one of the words, by default the
# first
check_choice()
{
	local name=$1 word
	shift
	[[ -n ${!name-} ]] || printf -v "$name" %s "$1"
	for word; do
		[[ ${!name} != "$word" ]] || return 0
	done
	die 78 use "$name=${!name}" "not one of $*"
}

check_settings()
{
	local tool
	check_databases
	check_choice PHILOTES_SNAPSHOT initial never
	check_choice PHILOTES_NEW_TABLES warn add ignore
	check_choice PHILOTES_ON_GAP stop snapshot
	check_choice PHILOTES_HANDLER_MODE batch serve
	[[ $PHILOTES_HANDLER_MODE == batch || -n ${PHILOTES_HANDLER-} ]] ||
		die 78 use "PHILOTES_HANDLER_MODE=serve" \
			"PHILOTES_HANDLER is not set"
	if [[ $PHILOTES_BUFFER_ENABLED == false &&
	    -z ${PHILOTES_STREAM_HANDLER-} ]]; then
		die 78 find "PHILOTES_STREAM_HANDLER" "it is not set" \
			"It takes the stream when PHILOTES_BUFFER_ENABLED is false."
	fi
	[[ $PHILOTES_BUFFER_ENABLED == true || $PHILOTES_ON_GAP == stop ]] ||
		die 78 use "PHILOTES_ON_GAP=$PHILOTES_ON_GAP" \
			"without a buffer no gap is recorded" \
			"Leave it out when PHILOTES_BUFFER_ENABLED is false."
	for tool in pg-cdc-read buffer-write buffer-batch buffer-gc; do
		[[ -x $bin/$tool ]] ||
			die 78 find "$bin/$tool" "it is not built" 'Run "make".'
	done
	parse_duration "${PHILOTES_BUFFER_CLEANUP_INTERVAL:=1h}" ||
		die 78 use "PHILOTES_BUFFER_CLEANUP_INTERVAL=$PHILOTES_BUFFER_CLEANUP_INTERVAL" \
			"not a duration such as 5s, 1h30m or 7d"
}

# Leaves the seconds of a duration in REPLY, rounded up, and the nanoseconds in
# $nanoseconds; false if it is not one.
# Syntax and limit, 2^63 - 1 nanoseconds, are those of lib/base/num.c.
parse_duration()
{
	local text=$1 number='^0*([0-9]*)(\.([0-9]*))?([^0-9.]+)(.*)$'
	local whole part ns scale sum=0
	local -r max=9223372036854775807
	local -rA factors=([ns]=1 [us]=1000 [ms]=1000000 [s]=1000000000
		[m]=60000000000 [h]=3600000000000 [d]=86400000000000
		[w]=604800000000000)
	[[ $text != 0 ]] || text=0s
	[[ -n $text ]] || return 1
	while [[ -n $text ]]; do
		[[ $text =~ ^\.?[0-9] && $text =~ $number ]] || return 1
		whole=${BASH_REMATCH[1]:-0} part=${BASH_REMATCH[3]:0:12}
		ns=${factors[${BASH_REMATCH[4]}]-0} text=${BASH_REMATCH[5]}
		# a larger number of as many digits overflows to below 0
		((ns > 0 && ${#whole} <= ${#max} && whole >= 0)) || return 1
		((whole <= (max - sum) / ns)) || return 1
		((sum += whole * ns, scale = 10 ** ${#part})) || :
		while ((scale > 1 && ns % 10 == 0)); do
			((scale /= 10, ns /= 10))
		done
		((part = 10#0$part * ns / scale, part <= max - sum)) || return 1
		((sum += part)) || :
	done
	REPLY=$((sum / 1000000000 + (sum % 1000000000 != 0)))
	nanoseconds=$sum
}

locate_state()
{
	state=/var/lib/philotes
	((EUID == 0)) ||
		state=${XDG_STATE_HOME:-${HOME-}/.local/state}/philotes
	state=$(realpath -m "${PHILOTES_STATE_DIR:-$state}")
	run=$state/run
	buffer_cluster=$state/buffer
	embedded=false
	case ${PHILOTES_BUFFER_ENABLED:=true} in
	true) [[ ${PHILOTES_BUFFER_URL-} != embedded ]] || embedded=true ;;
	false) ;;
	*)
		die 78 use "PHILOTES_BUFFER_ENABLED=$PHILOTES_BUFFER_ENABLED" \
			"neither true nor false"
		;;
	esac
	use_snapshot_key
}

readonly own_state="Name a directory of your own by PHILOTES_STATE_DIR."

make_directory()
{
	local said code=74
	said=$({ export LC_ALL=C; mkdir -p "$1" && chmod "$2" "$1"; } 2>&1) &&
		return 0
	said=${said##*: }
	# the messages of EACCES and EPERM
	[[ $said != *ermi* ]] || code=77
	die "$code" create "$1" "${said,}" "$own_state"
}

# The embedded server, which may run as another user, has its directory below
# $state.
make_state()
{
	[[ -d $state ]] || make_directory "$state" 0711
	[[ ! -L $run ]] || die 77 use "$run" "it is a symbolic link" "$own_state"
	make_directory "$run" 0700
	[[ -O $run ]] || die 77 use "$run" "it belongs to somebody else" "$own_state"
}
