"""Shell text that waits on a host for what GlusterFS does in its own time, and tells how far it has got.

Lines with "<done> of about <total> bytes" are the progress of the job (``Detached.tells``).

Constants: what they work on are their arguments. Ending one ends the waiting only; what was begun is stopped by the
undo of the action that began it. Needs awk, which every Debian has: usually mawk, which prints numbers of 2^31 and more
as 3.2e+09, and as 2147483647 with %d (1.3.4), so they are printed with %.0f.
"""

from __future__ import annotations

from datastores.domain.plan import Action, Command, Detached

# $1: "moved" for the bytes that sets of bricks hold beyond their share, by their size, or that are on the bricks that
# go ($3 and on); "lacked" for those that bricks have less than others of their set. $2: the volume. What else is in the
# file system of a brick counts, too. Prints nothing where a brick does not tell.
_ROOM = r"""
room() {
    about=$1 volume=$2; shift 2
    {
        gluster --mode=script --xml volume info "$volume"
        gluster --mode=script --xml volume status "$volume" detail
    } | awk -F'[<>]' -v about="$about" -v gone=" $* " '
        /<(brick|replica|arbiter|disperse|redundancy)Count>/ { count[$2] = $3 }
        /<hostname>/ { peer = $3 }
        /<path>/ { path = $3 }
        /<sizeTotal>/ { total = $3 }
        /<sizeFree>/ {
            size = count["disperseCount"] + 0 ? count["disperseCount"] : count["replicaCount"]
            set = int(bricks / size); place = bricks++ % size
            if (count["arbiterCount"] + 0 && place == size - 1) next
            used = total - $3
            if (used > most[set]) most[set] = used
            held[set] += used; copies[set]++
            if (!(set in rooms) || total < rooms[set]) rooms[set] = total
            if (index(gone, " " peer ":" path " ")) { leaves[set] = 1; leaving = 1 }
        }
        END {
            if (!bricks || bricks != count["brickCount"]) exit
            parts = count["disperseCount"] + 0 ? count["disperseCount"] - count["redundancyCount"] : 1
            for (set in most) { all += most[set]; space += rooms[set] }
            for (set in most) {
                lacked += most[set] * copies[set] - held[set]
                left = most[set] - (leaving ? (set in leaves ? 0 : most[set]) : all * rooms[set] / space)
                if (left > 0) moved += left * parts
            }
            printf "%.0f\n", about == "moved" ? moved : lacked
        }'
}
"""

# $1: "skipped" when a file that was skipped is one that is lost, "failures" when not, "layout" when none are moved;
# then what tells the status, the volume second. How long it will take gluster says after ten minutes, not in XML (10).
# The states are those of glusterd's gf_defrag_status_t: 3 and 7 are a good end, 2, 4, 6 and 8 a bad one.
_FOLLOW = (
    _ROOM
    + r"""
follow() {
    strict=$1 all= last= tries=0 rounds=0; shift
    while :; do
        told=$(gluster --mode=script --xml volume "$@" | awk -F'[<>]' -v strict="$strict" -v here="$(uname -n)" '
            /<opErrstr>/ { why = $3 }
            /<aggregate>/ { whole = 1 }
            { value[$2] = $3 }
            /<\/node>/ {
                name = value["nodeName"] == "localhost" ? here : value["nodeName"]
                nodes = nodes "; " name ": " value["files"] " files, " value["size"] " bytes, " value["statusStr"]
            }
            END {
                if (!whole) { print "? 0 0 0 0 " why; exit }
                lost = value["failures"] + (strict == "skipped" ? value["skipped"] : 0)
                text = value["lookups"] " looked at, " value["skipped"] " skipped, " value["failures"] " failed" nodes
                printf "%d %.0f %.0f %.0f %.0f %s\n", \
                    value["status"], lost, value["size"], int(value["runtime"]), value["files"], text
            }')
        read -r state lost size seconds files text <<END
$told
END
        if [ "$state" = "?" ]; then
            tries=$((tries + 1))
            [ "$tries" -lt 30 ] || { echo "its state cannot be told: $text" >&2; return 1; }
        else
            tries=0
            if [ -z "$all" ]; then
                [ "$strict" = layout ] || all=$(room moved "$2" "$@")
                all=$((size + ${all:-0}))
            fi
            if [ "$seconds" -ge 600 ] && [ "$size" -gt 0 ]; then
                left=$(gluster --mode=script volume "$@" | awk '
                    /^Estimated time left.*: *[0-9]+:[0-9]/ {
                        n = split($0, part, ":")
                        print part[n - 2] * 3600 + part[n - 1] * 60 + part[n]
                    }')
                [ -z "$left" ] || all=$((size + size / seconds * left))
            fi
            case $state in 3|7) all=$size ;; esac
            of="$size bytes"
            [ "$all" -le "$size" ] || of="$size of about $all bytes"
            case $state in 3|7) of="$size of $size bytes" ;; esac
            text="$files files, $of moved, $text"
            [ "$text" = "$last" ] || printf '%s\n' "$text"
            last=$text
        fi
        case $state in
        3|7)
            [ "$lost" -eq 0 ] && return
            echo "$lost files stayed where they were; /var/log/glusterfs/*-rebalance.log says why" >&2
            return 1 ;;
        2|4|6|8)
            echo "it was stopped, or failed, after $text" >&2
            return 1 ;;
        esac
        rounds=$((rounds + 1))
        if [ "$rounds" -lt 10 ]; then sleep 0.5; elif [ "$rounds" -lt 60 ]; then sleep 2; else sleep 10; fi
    done
}
"""
)
WAIT = _FOLLOW + 'follow "$@"\n'

DRAIN = (
    _FOLLOW
    + r"""
volume=$1; shift
gluster --mode=script volume remove-brick "$volume" "$@" start || exit
(follow skipped remove-brick "$volume" "$@" status) || {
    gluster --mode=script volume remove-brick "$volume" "$@" stop
    exit 1
}
exec gluster --mode=script volume remove-brick "$volume" "$@" commit
"""
)
"""Take bricks out of a volume again, with what came to lie on them meanwhile."""

STOP = r"""
said=$(gluster --mode=script volume "$@" 2>&1) || case $said in
*"not started"*) ;;
*) printf '%s\n' "$said" >&2; exit 1 ;;
esac
tries=0
while :; do
    there=$(gluster --mode=script volume status "$2" client-list 2>&1) && said=known || said=
    case $there in *"is not started"*|*"does not exist"*) exit 0 ;; esac
    [ -z "$said" ] || printf '%s\n' "$there" | grep -q '^rebalance  *[1-9]' || exit 0
    tries=$((tries + 1))
    [ "$tries" -lt 450 ] || { echo "it was told to stop, and still moves the file that it had begun with" >&2; exit 1; }
    sleep 2
done
"""
"""Stop what may have ended by itself, and see on no brick a process any more that moves files: gluster answers at once,
and moves the file under way to its end."""

HEAL = (
    _ROOM
    + r"""
last= tries=0 rounds=0 lacked=$(room lacked "$1")
[ "${lacked:-0}" -ge 16777216 ] || lacked=
while :; do
    gluster --mode=script volume heal "$1" >/dev/null
    told=$(gluster --mode=script --xml volume heal "$1" info summary | awk -F'[<>]' '
        /<opRet>0</ { known = 1 }
        /<status>/ && $3 != "Connected" { off++ }
        /<totalNumberOfEntries>/ { left += $3 }
        /<numberOfEntriesInSplitBrain>/ { split_brain += $3 }
        END { printf "%d %d %.0f %.0f\n", known, off, left, split_brain }')
    read -r known off left split_brain <<END
$told
END
    [ "$known" = 1 ] && tries=0 || tries=$((tries + 1))
    [ "$tries" -lt 30 ] || { echo "it cannot be told what has to be healed" >&2; exit 1; }
    if [ "$known" = 1 ]; then
        text="$left entries are to be healed"
        if [ -n "$lacked" ]; then
            lacks=$(room lacked "$1")
            [ -z "$lacks" ] || [ "$lacks" -gt "$lacked" ] || came=$((lacked - lacks))
            [ "$left" != 0 ] || came=$lacked
            text="$text; ${came:-0} of about $lacked bytes have come to bricks that lacked them"
        fi
        [ "$text" = "$last" ] || printf '%s\n' "$text"
        last=$text
        [ "$off" = 0 ] || { echo "$off bricks do not answer" >&2; exit 1; }
        [ "$left" != 0 ] || exit 0
        [ "$left" != "$split_brain" ] || { echo "$left entries are in split-brain" >&2; exit 1; }
    fi
    rounds=$((rounds + 1))
    if [ "$rounds" -lt 10 ]; then sleep 0.5; elif [ "$rounds" -lt 60 ]; then sleep 2; else sleep 10; fi
done
"""
)
"""The daemon that heals is told so each time: for some seconds after a brick came it refuses (10.3). What has begun to
heal is not disturbed by it."""


def waiting(strict: str, *words: str) -> Action:
    """Return the wait for the end of what ``gluster volume <words>`` tells the state of."""
    return Action(Detached(Command(("sh", "-c", WAIT, "sh", strict, *words)), tells=True), harmless=True)


def stopping(*words: str) -> Command:
    """Return ``gluster volume <words>``, which is no failure when there is nothing to stop any more."""
    return Command(("sh", "-c", STOP, "sh", *words), timeout=1200)
