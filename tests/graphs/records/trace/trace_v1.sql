-- A trace as version 1 of the file wrote it; never edited, for it stands for those that exist.
BEGIN TRANSACTION;
CREATE TABLE advice (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        signature INTEGER NOT NULL,
        source TEXT NOT NULL,
        plans TEXT NOT NULL
    );
INSERT INTO "advice" VALUES(1,1,2048,7,'model','[{"plan": [["pick_up", "red key"], ["open", "red door"]], "p": 0.75}, {"plan": [["explore", null]], "p": 0.25}]');
CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        signature INTEGER NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        status TEXT NOT NULL,
        error TEXT,
        messages TEXT NOT NULL,
        tools TEXT NOT NULL,
        settings TEXT NOT NULL,
        answers TEXT NOT NULL,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        started_at REAL NOT NULL,
        latency_s REAL NOT NULL
    );
INSERT INTO "calls" VALUES(1,1,2048,7,'openai','small-model',1,'ok',NULL,'[{"role": "user", "content": "Now?"}]','[{"name": "explore", "parameters": {}}]','{"temperature": 0.7, "k": 4, "stop": null}','[{"tool_calls": [{"name": "explore", "args": {}}], "logprob": -0.5}]',812,NULL,1900000000.0,0.25);
CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        node TEXT NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,1,2048,'planner','timed_out','situation 7');
CREATE TABLE examples (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        signature INTEGER NOT NULL,
        env INTEGER NOT NULL,
        picture TEXT NOT NULL
    );
INSERT INTO "examples" VALUES(1,1,7,3,'#>.
..D');
CREATE TABLE situations (signature INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO "situations" VALUES(7,'mission: open the door');
CREATE TABLE visits (
        iteration INTEGER NOT NULL,
        signature INTEGER NOT NULL,
        visits INTEGER NOT NULL,
        mass REAL NOT NULL,
        agreement REAL,
        episodes INTEGER NOT NULL,
        successes INTEGER NOT NULL,
        PRIMARY KEY (iteration, signature)
    ) WITHOUT ROWID;
INSERT INTO "visits" VALUES(1,7,5,0.5,0.25,2,1);
CREATE INDEX calls_by_signature ON calls (signature);
CREATE INDEX advice_by_signature ON advice (signature);
CREATE INDEX visits_by_signature ON visits (signature);
CREATE INDEX examples_by_signature ON examples (signature);
COMMIT;
PRAGMA user_version = 1;
