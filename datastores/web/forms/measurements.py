"""What is to be measured of a datastore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from datastores.domain.throughput import LARGEST, MIB, SMALLEST
from datastores.hosts.throughput import MOST_SECONDS
from datastores.models import Host
from datastores.web.forms.base import Form


class MeasureForm(Form):
    """``hosts``: those on which it can be measured."""

    hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), widget=forms.CheckboxSelectMultiple, label="On which hosts?",
        help_text="Those that can use it and are ready.",
    )  # fmt: skip
    only_try = forms.BooleanField(
        required=False, label="Only try whether root can write there",
        help_text="A file of the job is written, given its owner and mode, and removed; where there are no files, "
        "a disk is made, attached and removed. No figures.",
    )  # fmt: skip
    together = forms.BooleanField(
        required=False, label="All hosts at once", help_text="As VMs would. Unticked: one host after another."
    )
    install = forms.BooleanField(
        required=False, label="Install fio where it is missing",
        help_text="Only fio tells of small blocks and of latencies. Without it dd measures how fast a file is written "
        "and read.",
    )  # fmt: skip
    size = forms.IntegerField(
        label="Size of the file or disk, MiB", min_value=SMALLEST // MIB, max_value=LARGEST // MIB, initial=256,
        help_text="At most; never more than a tenth of the free space, disks of all hosts together.",
    )  # fmt: skip
    seconds = forms.IntegerField(
        label="Seconds for each part of the test", min_value=1, max_value=MOST_SECONDS, initial=10,
        help_text="fio has four: large blocks written and read, small blocks written and read.",
    )  # fmt: skip

    def __init__(self, hosts: Sequence[Host], *args: Any, **kwargs: Any) -> None:
        offered = [host.pk for host in hosts if host.usable]
        super().__init__(*args, initial={"hosts": offered}, **kwargs)
        self.fields["hosts"].queryset = Host.objects.filter(pk__in=offered).order_by("name")  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job; the hosts as they are ordered in the form."""
        data = self.cleaned_data
        flags = {name: data[name] for name in ("only_try", "together", "install")}
        hosts = [host.pk for host in data["hosts"]]
        return {"hosts": hosts, "size": data["size"] * MIB, "seconds": data["seconds"], **flags}
