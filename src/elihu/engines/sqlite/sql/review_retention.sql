-- Make the finished jobs with ids above :after and up to :end ready to be read by prune again.
UPDATE job SET prune_at = NULL
WHERE id > :after AND id <= :end AND finished_at IS NOT NULL AND prune_at IS NOT NULL AND prune_at > coalesce(keep_until, 0.0)
