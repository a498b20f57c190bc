"""Personal data leave an event before the log has it, and come back only with the subject's key.

- `protect`, `reveal`: the event as the log may have it, and back; pure
- `protect_events`: the use case of whoever takes events in, a batch at a time
- `free_text`, `card_numbers`: what people and pages wrote
- `vault` (`ports.SubjectVault`): identifier → random subject id and key, created, found, opened, erased
- `tenant_keys`, `root_key`, `rotate`: the hierarchy above the subjects' keys
- `postgres_records`, `memory_records`: where the vault keeps things
- `bootstrap`: a vault on real servers
"""
