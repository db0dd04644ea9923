"""SSH to hosts: pinned keys, warm connections, one place that quotes. Nobody else imports paramiko."""
