-- Announce one payload, as notify.sql does several. Text without parameters: what listens hears of it
-- a quarter sooner than of a call of pg_notify over an array.
NOTIFY "/* channel */", E'/* payload */'
