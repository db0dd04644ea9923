"""What is remembered: one module per noun."""

from datastores.models.alerts import Alert, Tally
from datastores.models.audit import AuditEntry
from datastores.models.caches import CachedCopy
from datastores.models.directories import MovedDirectory
from datastores.models.drift import Drift, DriftScan, ImageFootprint
from datastores.models.duties import Duty
from datastores.models.hosts import Cluster, Credential, Host, HostKey
from datastores.models.images import DeletedImage, Image, Snapshot
from datastores.models.jobs import Job, JobEvent, JobStep
from datastores.models.leases import Lease
from datastores.models.measurements import Measurement
from datastores.models.notifications import Delivery, Notice, NotificationTarget
from datastores.models.partitions import Partition
from datastores.models.samples import DatastoreSample, HostSample
from datastores.models.saved_views import SavedView
from datastores.models.settings import SettingsSection
from datastores.models.storage import (
    Appliance,
    ApplianceGuard,
    ApplianceLun,
    ApplianceReach,
    Brick,
    Datastore,
    DatastoreHost,
    VolumeReading,
)
from datastores.models.users import User
from datastores.models.virtual_machines import Disk, VirtualMachine

__all__ = [
    "Alert",
    "Appliance",
    "ApplianceGuard",
    "ApplianceLun",
    "ApplianceReach",
    "AuditEntry",
    "Brick",
    "CachedCopy",
    "Cluster",
    "Credential",
    "Datastore",
    "DatastoreHost",
    "DatastoreSample",
    "DeletedImage",
    "Delivery",
    "Disk",
    "Drift",
    "DriftScan",
    "Duty",
    "Host",
    "HostKey",
    "HostSample",
    "Image",
    "ImageFootprint",
    "Job",
    "JobEvent",
    "JobStep",
    "Lease",
    "Measurement",
    "MovedDirectory",
    "Notice",
    "NotificationTarget",
    "Partition",
    "SavedView",
    "SettingsSection",
    "Snapshot",
    "Tally",
    "User",
    "VirtualMachine",
    "VolumeReading",
]
