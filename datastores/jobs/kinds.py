"""Every kind of job: its use case by name. To add one, write a UseCase and add it here."""

from __future__ import annotations

from datastores.services.appliances import LunPin, LunsFind, OthersGuarded, OthersOpened, PortalsTry
from datastores.services.cache_jobs import CacheEvict, CacheWarm
from datastores.services.datastore_hosts import DatastoreHosts
from datastores.services.datastores import DatastoreCreate, DatastoreDelete
from datastores.services.deleted_images import ImageRestore
from datastores.services.directories import DirectoryForget, DirectoryMove, DirectoryReturn
from datastores.services.disk_deletes import DiskDelete
from datastores.services.disk_flatten import DiskFlatten
from datastores.services.disk_moves import DiskMove
from datastores.services.disk_places import DiskPlace
from datastores.services.disk_saves import DiskSaveAs
from datastores.services.disks import DiskCreate
from datastores.services.drift_repair import DriftRepair
from datastores.services.exports import ExportChange
from datastores.services.hosts import HostOnboard, HostRead
from datastores.services.image_changes import ImageChecksum, ImageDelete, ImageResize
from datastores.services.image_making import ContextImage, ImageBlock, ImageClone, ImageRegister
from datastores.services.image_moves import ImageMove
from datastores.services.limits import DatastoreLimit, DiskReserve
from datastores.services.measurements import DatastoreMeasure
from datastores.services.partitions import PartitionGive, PartitionTake
from datastores.services.promotions import ImagePromote
from datastores.services.snapshots import SnapshotDelete, SnapshotRevert, SnapshotTake
from datastores.services.usecase import UseCase
from datastores.services.vm_disks import DiskBlock, DiskGive, DiskResize
from datastores.services.volume_bricks import BrickReplace, BricksAdd, BricksRemove
from datastores.services.volume_limits import VolumeQuota, VolumeUnlimit
from datastores.services.volumes import (
    VolumeHeal,
    VolumeOption,
    VolumeRead,
    VolumeRebalance,
    VolumeSplitBrain,
    VolumeStart,
    VolumeStop,
)

_CASES: tuple[type[UseCase], ...] = (
    HostOnboard, HostRead, DatastoreCreate, DatastoreHosts, DatastoreLimit, DatastoreMeasure, DatastoreDelete,
    ImageRegister, ImageBlock, ContextImage, ImageClone, ImageResize, ImageChecksum, ImageMove, ImageDelete,
    ImageRestore, ImagePromote, SnapshotTake, SnapshotRevert, SnapshotDelete, DiskCreate, DiskBlock, DiskResize,
    DiskSaveAs, DiskMove, DiskPlace, DiskFlatten, DiskReserve, DiskGive, DiskDelete, DriftRepair, ExportChange,
    DirectoryMove, DirectoryReturn, DirectoryForget, VolumeRead, BricksAdd, BricksRemove, BrickReplace, VolumeRebalance,
    VolumeHeal, VolumeSplitBrain, VolumeOption, VolumeQuota, VolumeUnlimit, PartitionGive, PartitionTake,
    VolumeStop, VolumeStart, CacheWarm,
    CacheEvict,
    LunsFind, LunPin, PortalsTry, OthersGuarded, OthersOpened,
)  # fmt: skip
KINDS: dict[str, UseCase] = {case.kind: case() for case in _CASES}
