"""What is remembered: one module per noun."""

from datastores.models.audit import AuditEntry
from datastores.models.drift import Drift, DriftScan, ImageFootprint
from datastores.models.duties import Duty
from datastores.models.hosts import Cluster, Credential, Host, HostKey
from datastores.models.images import Image, Snapshot
from datastores.models.jobs import Job, JobEvent, JobStep
from datastores.models.leases import Lease
from datastores.models.storage import Datastore, DatastoreHost
from datastores.models.users import User
from datastores.models.virtual_machines import Disk, VirtualMachine

__all__ = [
    "AuditEntry",
    "Cluster",
    "Credential",
    "Datastore",
    "DatastoreHost",
    "Disk",
    "Drift",
    "DriftScan",
    "Duty",
    "Host",
    "HostKey",
    "Image",
    "ImageFootprint",
    "Job",
    "JobEvent",
    "JobStep",
    "Lease",
    "Snapshot",
    "User",
    "VirtualMachine",
]
