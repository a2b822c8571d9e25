-- Claim the jobs. The same conditions under the same lock find the same jobs, by the index alone
-- and in order. All but the jobs :at_once wait in the node. A job that has started once never expires, and
-- the node knows it by the missing expiry.
UPDATE job SET state = 'executing', claim = claim + 1, attempt = attempt + 1, node = :node, started_at = :now/*ahead ,
  ahead = CASE WHEN id NOT IN (SELECT value FROM json_each(:at_once)) THEN claim + 1 END,
  expires_at = CASE WHEN started_at IS NULL THEN expires_at END ahead*/
WHERE id IN (
  SELECT id FROM job
  WHERE state = 'available' AND queue = :queue AND (priority, scheduled_at, id) > (:after_priority, :after_at, :after_id)
    AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at > :now)
    AND claim < 2000000000 AND attempt < 2000000000 AND task NOT IN (SELECT value FROM json_each(:exclude))
    AND EXISTS (SELECT 1 FROM node WHERE node.id = :node)
  ORDER BY priority, scheduled_at, id
  LIMIT :free)
