-- How often whoever had a piece of work died over it: its lease ran out, and nobody had given the work back.
ALTER TABLE tidings.work ADD COLUMN deaths int NOT NULL DEFAULT 0;
