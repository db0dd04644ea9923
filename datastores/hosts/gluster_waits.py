"""Shell text that waits on a host for what GlusterFS does in its own time, and tells how far it has got.

Constants: what they work on are their arguments. Ending one ends the waiting only; what was begun is stopped by the
undo of the action that began it. Needs awk, which every Debian has.
"""

from __future__ import annotations

from datastores.domain.plan import Action, Command, Detached

# $1: "skipped" when a file that was skipped is one that is lost, else "failures"; then what tells the status.
# The states are those of glusterd's gf_defrag_status_t: 3 and 7 are a good end, 2, 4, 6 and 8 a bad one.
_FOLLOW = r"""
follow() {
    strict=$1 last= tries=0 rounds=0; shift
    while :; do
        said=$("$@")
        told=$(printf '%s\n' "$said" | awk -F'[<>]' -v strict="$strict" '
            /<opErrstr>/ { why = $3 }
            /<aggregate>/ { whole = 1 }
            whole { value[$2] = $3 }
            END {
                if (!whole) { print "? 0 " why; exit }
                lost = value["failures"] + (strict == "skipped" ? value["skipped"] : 0)
                print value["status"] + 0, lost, value["files"] " files and " value["size"] " bytes moved, " \
                    value["lookups"] " looked at, " value["skipped"] " skipped, " value["failures"] " failed"
            }')
        read -r state lost text <<END
$told
END
        if [ "$state" = "?" ]; then
            tries=$((tries + 1))
            [ "$tries" -lt 30 ] || { echo "its state cannot be told: $text" >&2; return 1; }
        else
            tries=0
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
WAIT = _FOLLOW + 'follow "$@"\n'

DRAIN = (
    _FOLLOW
    + r"""
volume=$1; shift
gluster --mode=script volume remove-brick "$volume" "$@" start || exit
follow skipped gluster --mode=script --xml volume remove-brick "$volume" "$@" status || {
    gluster --mode=script volume remove-brick "$volume" "$@" stop
    exit 1
}
exec gluster --mode=script volume remove-brick "$volume" "$@" commit
"""
)
"""Take bricks out of a volume again, with what came to lie on them meanwhile."""

STOP = r"""
said=$("$@" 2>&1) && exit
case $said in *"not started"*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
"""
"""Stop what may have ended by itself."""

HEAL = r"""
last= tries=0 rounds=0
while :; do
    gluster --mode=script volume heal "$1" >/dev/null
    told=$(gluster --mode=script --xml volume heal "$1" info summary | awk -F'[<>]' '
        /<opRet>0</ { known = 1 }
        /<status>/ && $3 != "Connected" { off++ }
        /<totalNumberOfEntries>/ { left += $3 }
        /<numberOfEntriesInSplitBrain>/ { split_brain += $3 }
        END { print known + 0, off + 0, left + 0, split_brain + 0 }')
    read -r known off left split_brain <<END
$told
END
    [ "$known" = 1 ] && tries=0 || tries=$((tries + 1))
    [ "$tries" -lt 30 ] || { echo "it cannot be told what has to be healed" >&2; exit 1; }
    if [ "$known" = 1 ]; then
        [ "$left" = "$last" ] || echo "$left entries are to be healed"
        last=$left
        [ "$off" = 0 ] || { echo "$off bricks do not answer" >&2; exit 1; }
        [ "$left" != 0 ] || exit 0
        [ "$left" != "$split_brain" ] || { echo "$left entries are in split-brain" >&2; exit 1; }
    fi
    rounds=$((rounds + 1))
    if [ "$rounds" -lt 10 ]; then sleep 0.5; elif [ "$rounds" -lt 60 ]; then sleep 2; else sleep 10; fi
done
"""
"""The daemon that heals is told so each time: for some seconds after a brick came it refuses (10.3). What has begun to
heal is not disturbed by it."""


def waiting(strict: str, *words: str) -> Action:
    """Return the wait for the end of what ``gluster volume <words>`` tells the state of."""
    status = ("gluster", "--mode=script", "--xml", "volume", *words)
    return Action(Detached(Command(("sh", "-c", WAIT, "sh", strict, *status))), harmless=True)


def stopping(*words: str) -> Command:
    """Return ``gluster volume <words>``, which is no failure when there is nothing to stop any more."""
    return Command(("sh", "-c", STOP, "sh", "gluster", "--mode=script", "volume", *words), timeout=180)
