# Makes untrusted text safe to print, as lib/base/text.h does, which lists the
# unsafe characters.
#
#   one_line TEXT          REPLY: the text, with ? for each unsafe character
#   json_string TEXT       REPLY: a JSON string, with escapes for these
# shellcheck shell=bash

one_line()
{
	REPLY=$1
	[[ $1 != *[!\ -~]* ]] || replace_unsafe mark "$1" 2>/dev/null
}

json_string()
{
	REPLY=${1//\\/\\\\}
	REPLY=${REPLY//\"/\\\"}
	[[ $REPLY != *[!\ -~]* ]] ||
		replace_unsafe escape "$REPLY" 2>/dev/null
	REPLY=\"$REPLY\"
}

# replace_unsafe mark|escape TEXT: works on bytes.  bash warns on stderr when it
# restores a locale that does not exist.
replace_unsafe()
{
	local LC_ALL=C rest=$2 text='' plain n unsafe invalid
	while :; do
		plain=${rest%%[!\ -~]*}
		text+=$plain
		rest=${rest:${#plain}}
		[[ -n $rest ]] || break
		measure_character
		if $unsafe; then
			"put_$1" "${rest:0:n}"
			text+=$REPLY
		else
			text+=${rest:0:n}
		fi
		rest=${rest:n}
	done
	REPLY=$text
}

# Sets $n to the length of the first character of $rest in bytes, $unsafe, and
# $invalid: it is not UTF-8.
measure_character()
{
	local more=[$'\x80'-$'\xbf']
	n=1 unsafe=true invalid=false
	# shellcheck disable=SC2254 # a pattern
	case $rest in
	[$'\x01'-$'\x1f\x7f']*) ;;
	$'\xc2'[$'\x80'-$'\x9f']* | $'\xd8\x9c'*) n=2 ;;
	$'\xe2\x80'[$'\x8e\x8f\xa8'-$'\xae']* | \
	$'\xe2\x81'[$'\xa6'-$'\xa9']*) n=3 ;;
	[$'\xc2'-$'\xdf']$more*) n=2 unsafe=false ;;
	$'\xe0'[$'\xa0'-$'\xbf']$more* | $'\xed'[$'\x80'-$'\x9f']$more* | \
	[$'\xe1'-$'\xec\xee\xef']$more$more*) n=3 unsafe=false ;;
	$'\xf0'[$'\x90'-$'\xbf']$more$more* | \
	$'\xf4'[$'\x80'-$'\x8f']$more$more* | \
	[$'\xf1'-$'\xf3']$more$more$more*) n=4 unsafe=false ;;
	*) invalid=true ;;
	esac
}

put_mark()
{
	REPLY='?'
}

# put_escape CHARACTER
put_escape()
{
	local code=0xfffd byte i
	local -A short=([8]=b [9]=t [10]=n [12]=f [13]=r)
	if ! $invalid; then
		printf -v code %d "'$1"
		code=$((code & 0x7f >> (${#1} == 1 ? 0 : ${#1})))
		for ((i = 1; i < ${#1}; i++)); do
			printf -v byte %d "'${1:i}"
			code=$((code << 6 | byte & 0x3f))
		done
	fi
	if [[ -n ${short[$code]-} ]]; then
		REPLY=\\${short[$code]}
	else
		printf -v REPLY '\\u%04x' "$code"
	fi
}
