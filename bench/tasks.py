"""The role of a storage client in three languages, and how a host is put back and looked at."""

from __future__ import annotations

from typing import Any

from datastores.domain.keyvalue import Setting
from datastores.domain.plan import AnyStep
from datastores.hosts.accounts import GroupHasId, UserHasId
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.mounts import FstabLinePresent
from datastores.hosts.services import ServiceRunning
from datastores.hosts.settings_files import SettingsAre

GROUP, ACCOUNT, ID, HOME = "cloud", "oneadmin", 4001, "/srv/one"
SOURCE, TARGET, OPTIONS = "nfs1:/storage", "/srv/storage", "rw,noauto,_netdev,rsize=1048576,wsize=1048576"
DOMAIN, SETTINGS = "cloud.example", "/etc/idmapd.conf"
UNIT = "bench.service"

PREPARE = f"""set -e
printf '%s\\n' '[Service]' 'ExecStart=/bin/sleep infinity' '[Install]' 'WantedBy=multi-user.target' \\
    > /etc/systemd/system/{UNIT}
printf '%s\\n' '[General]' '' 'Verbosity = 0' 'Domain = localdomain' '' '[Mapping]' '' 'Nobody-User = nobody' \\
    'Nobody-Group = nogroup' > {SETTINGS}
touch /etc/fstab
cp /etc/fstab /root/fstab.before
cp {SETTINGS} /root/settings.before
systemctl daemon-reload
"""
RESET = f"""
systemctl disable --quiet --now {UNIT}
userdel {ACCOUNT} 2>/dev/null
groupdel {GROUP} 2>/dev/null
rm -rf {HOME} /etc/fstab* {SETTINGS}*
cp /root/fstab.before /etc/fstab
cp /root/settings.before {SETTINGS}
systemctl daemon-reload
"""
BARE = f"""set -e
groupadd -g {ID} {GROUP}
useradd -M -u {ID} -g {GROUP} -d {HOME} -s /bin/bash {ACCOUNT}
install -d -m 0750 -o {ACCOUNT} -g {GROUP} {HOME}
echo '{SOURCE} {TARGET} nfs4 {OPTIONS} 0 0' >> /etc/fstab
systemctl daemon-reload
sed -i 's/^Domain = .*/Domain = {DOMAIN}/' {SETTINGS}
systemctl enable --quiet {UNIT}
systemctl start {UNIT}
"""
LOOK = f"""
getent group {GROUP}
getent passwd {ACCOUNT}
stat -c '%F %U:%G %a' {HOME}
awk '/^[^#]/ {{ $1 = $1; print }}' /etc/fstab
awk NF {SETTINGS}
stat -c '%U:%G %a' /etc/fstab {SETTINGS}
systemctl is-enabled {UNIT}
systemctl is-active {UNIT}
"""
WANTED = f"""{GROUP}:x:{ID}:
{ACCOUNT}:x:{ID}:{ID}::{HOME}:/bin/bash
directory {ACCOUNT}:{GROUP} 750
{SOURCE} {TARGET} nfs4 {OPTIONS} 0 0
[General]
Verbosity = 0
Domain = {DOMAIN}
[Mapping]
Nobody-User = nobody
Nobody-Group = nogroup
root:root 644
root:root 644
enabled
active
"""


def steps(host: str) -> tuple[AnyStep, ...]:
    return (
        GroupHasId(host, GROUP, ID),
        UserHasId(host, ACCOUNT, ID, GROUP, HOME),
        DirectoryPresent(host, HOME, ACCOUNT, GROUP, "0750"),
        FstabLinePresent(host, SOURCE, TARGET, "nfs4", OPTIONS),
        SettingsAre(host, SETTINGS, (Setting("Domain", DOMAIN, "General"),)),
        ServiceRunning(host, UNIT),
    )


ANSIBLE: list[dict[str, Any]] = [
    {"ansible.builtin.group": {"name": GROUP, "gid": ID}},
    {
        "ansible.builtin.user": {
            "name": ACCOUNT, "uid": ID, "group": GROUP, "home": HOME, "create_home": False, "shell": "/bin/bash",
        }
    },
    {"ansible.builtin.file": {"path": HOME, "state": "directory", "owner": ACCOUNT, "group": GROUP, "mode": "0750"}},
    {
        "ansible.builtin.lineinfile": {
            "path": "/etc/fstab", "regexp": rf"^\S+\s+{TARGET}\s", "line": f"{SOURCE} {TARGET} nfs4 {OPTIONS} 0 0",
        },
        "register": "fstab",
    },
    {"ansible.builtin.lineinfile": {"path": SETTINGS, "regexp": r"^Domain\s*=", "line": f"Domain = {DOMAIN}"}},
    {
        "ansible.builtin.systemd_service": {
            "name": UNIT, "enabled": True, "state": "started", "daemon_reload": "{{ fstab is changed }}",
        }
    },
]  # fmt: skip

PYINFRA = f"""
from pyinfra.operations import files, server, systemd

server.group(group="{GROUP}", gid={ID})
server.user(user="{ACCOUNT}", uid={ID}, group="{GROUP}", home="{HOME}", shell="/bin/bash", ensure_home=False)
files.directory(path="{HOME}", user="{ACCOUNT}", group="{GROUP}", mode="750")
fstab = files.line(path="/etc/fstab", line="{SOURCE} {TARGET} nfs4 {OPTIONS} 0 0")
files.line(path="{SETTINGS}", line="^Domain = .*$", replace="Domain = {DOMAIN}")
systemd.daemon_reload(_if=fstab.did_change)
systemd.service(service="{UNIT}", running=True, enabled=True)
"""
