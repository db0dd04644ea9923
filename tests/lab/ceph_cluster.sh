# One monitor, one manager and two OSDs kept in files, with the pool "vms" and the account client.libvirt.
# Run by a shell on a host with the package set "ceph". The fsid is its argument.
set -eu
name=$(hostname)
address=$(hostname -I | cut -d' ' -f1)
cat > /etc/ceph/ceph.conf <<CONF
[global]
fsid = $1
mon_initial_members = $name
mon_host = $address
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_pool_default_size = 2
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_delete = true
mon_warn_on_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[mgr]
mgr_stats_period = 1
mgr_initial_modules =
[mon]
mon_memory_target = 268435456
[osd]
osd_memory_target = 939524096
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
bluestore_block_size = 10737418240
bluestore_block_create = true
bluestore_fsck_on_mount = false
osd_max_backfills = 1
osd_op_num_shards = 2
mgr_stats_period = 1
CONF
ceph-authtool -C /tmp/mon.keyring --gen-key -n mon. --cap mon 'allow *' > /dev/null
ceph-authtool -C /etc/ceph/ceph.client.admin.keyring --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *' > /dev/null
ceph-authtool /tmp/mon.keyring --import-keyring /etc/ceph/ceph.client.admin.keyring > /dev/null
monmaptool --create --add "$name" "$address" --fsid "$1" /tmp/monmap > /dev/null
chown ceph: /tmp/mon.keyring /tmp/monmap
install -d -o ceph -g ceph "/var/lib/ceph/mon/ceph-$name" "/var/lib/ceph/mgr/ceph-$name" \
    /var/lib/ceph/osd /var/log/ceph /run/ceph
runuser -u ceph -- ceph-mon --mkfs -i "$name" --monmap /tmp/monmap --keyring /tmp/mon.keyring
systemctl start "ceph-mon@$name"
timeout 60 ceph mon enable-msgr2 > /dev/null 2>&1
ceph auth get-or-create "mgr.$name" mon 'allow profile mgr' osd 'allow *' mds 'allow *' \
    -o "/var/lib/ceph/mgr/ceph-$name/keyring"
chown -R ceph: /var/lib/ceph/mgr
systemctl start "ceph-mgr@$name"
for number in 0 1; do
    disk=/var/lib/ceph/osd/ceph-$number
    uuid=$(cat /proc/sys/kernel/random/uuid)
    key=$(ceph-authtool --gen-print-key)
    install -d -o ceph -g ceph "$disk"
    echo "{\"cephx_secret\": \"$key\"}" | ceph osd new "$uuid" -i - > /dev/null
    ceph-authtool -C "$disk/keyring" --name "osd.$number" --add-key "$key" > /dev/null
    chown -R ceph: "$disk"
    runuser -u ceph -- ceph-osd -i "$number" --mkfs --osd-uuid "$uuid" --osd-objectstore bluestore 2> /dev/null
    systemctl start "ceph-osd@$number"
done
ceph osd pool create vms 8 8 > /dev/null
ceph auth get-or-create client.libvirt mon 'profile rbd' osd 'profile rbd pool=vms' mgr 'profile rbd' > /dev/null
for _ in $(seq 120); do
    ceph pg stat | grep -qE 'creating|unknown|peering' || break
    sleep 0.25
done
rbd pool init vms
