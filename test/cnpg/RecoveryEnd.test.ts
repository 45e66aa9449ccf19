import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as RecoveryEnd from "../../src/cnpg/RecoveryEnd.ts"
import * as RecoveryTarget from "../../src/cnpg/RecoveryTarget.ts"

const now = Date.parse("2026-11-20T00:00:00Z")
const id = "20261119T020003"
const storedAt = "2026-11-19T09:30:00.250Z"

const usual: RecoveryEnd.Recorded = {
  serverName: "orders-v1",
  backupId: id,
  backupEndedAt: "2026-11-19T02:01:41Z",
  freshBackupId: undefined,
  storedAt,
  firstRecoverabilityPoint: "2026-11-01T02:00:00Z"
}

const end = (target: string, changes: Partial<RecoveryEnd.Recorded> = {}) =>
  RecoveryEnd.resolve(
    "Cluster shop/orders",
    Option.getOrThrow(RecoveryTarget.parse(target)),
    { ...usual, ...changes },
    now
  )

const fields = (target: string, changes?: Partial<RecoveryEnd.Recorded>) =>
  Result.getOrThrow(end(target, changes)).fields

const message = (target: string, changes?: Partial<RecoveryEnd.Recorded>) =>
  Result.match(end(target, changes), { onSuccess: () => "it ended", onFailure: ({ message }) => message })

const without = { backupId: undefined, backupEndedAt: undefined }

describe("what the operator is told", () => {
  it.for([
    ["latest", {}, { backupID: id }],
    ["latest", without, {}],
    ["latest", { firstRecoverabilityPoint: "2026-11-19T10:00:00Z" }, { backupID: id }],
    ["latest timeline:2", {}, { backupID: id, targetTLI: "2" }],
    ["backup", {}, { backupID: id, targetImmediate: true }],
    ["backup", { backupEndedAt: undefined }, { backupID: id, targetImmediate: true }],
    ["backup", { firstRecoverabilityPoint: undefined }, { backupID: id, targetImmediate: true }],
    // It is the oldest one.
    ["backup", { firstRecoverabilityPoint: "2026-11-19T02:01:41.9Z" }, { backupID: id, targetImmediate: true }],
    ["backup timeline:latest", {}, { backupID: id, targetImmediate: true, targetTLI: "latest" }],
    ["velero-backup", { freshBackupId: id }, { backupID: id, targetImmediate: true }],
    ["velero-backup", { freshBackupId: id, storedAt: undefined }, { backupID: id, targetImmediate: true }],
    ["velero-backup", {}, { backupID: id, targetTime: storedAt }],
    // Of another Velero backup.
    ["velero-backup", { freshBackupId: "20261101T000000" }, { backupID: id, targetTime: storedAt }],
    // The operator finds one that ended before; a base backup that ends later cannot be recovered to it.
    ["velero-backup", { backupEndedAt: "2026-11-19T09:31:00Z" }, { targetTime: storedAt }],
    ["velero-backup", { backupEndedAt: undefined }, { targetTime: storedAt }],
    ["velero-backup", { firstRecoverabilityPoint: "2026-11-19T09:00:00Z" }, { targetTime: storedAt }],
    ["velero-backup", without, { targetTime: storedAt }],
    ["velero-backup", { firstRecoverabilityPoint: undefined }, { backupID: id, targetTime: storedAt }],
    ["2026-11-19T10:30:00.5+01:00", {}, { targetTime: "2026-11-19T09:30:00.5Z" }],
    ["2026-11-19T09:30:00Z", without, { targetTime: "2026-11-19T09:30:00Z" }],
    ["2026-11-01T02:00:00Z", {}, { targetTime: "2026-11-01T02:00:00Z" }],
    ["2020-01-01T00:00:00Z", { firstRecoverabilityPoint: undefined }, { targetTime: "2020-01-01T00:00:00Z" }],
    ["2020-01-01T00:00:00Z", { firstRecoverabilityPoint: "soon" }, { targetTime: "2020-01-01T00:00:00Z" }],
    ["2026-11-19T09:30:00Z timeline:7", {}, { targetTime: "2026-11-19T09:30:00Z", targetTLI: "7" }],
    ["lsn:0/3000060", {}, { targetLSN: "0/3000060" }],
    ["xid:741", {}, { backupID: id, targetXID: "741" }],
    ["name:before the migration", {}, { backupID: id, targetName: "before the migration" }]
  ] as const)("%s, recorded %j: %j", ([target, changes, expected]) => {
    assert.deepStrictEqual<RecoveryEnd.RecoveryTargetFields>(fields(target, changes), expected)
  })

  it.for([
    ["latest", `backup ${id}`],
    ["backup", `backup ${id} up to its end`],
    ["velero-backup", `backup ${id} up to ${storedAt}`],
    ["2026-11-19T09:30:00Z", "the newest backup before 2026-11-19T09:30:00Z up to 2026-11-19T09:30:00Z"],
    ["lsn:0/3000060 timeline:2", "the newest backup before LSN 0/3000060 up to LSN 0/3000060 on timeline 2"],
    ["xid:741", `backup ${id} up to transaction 741`],
    ["name:m", `backup ${id} up to restore point m`]
  ] as const)("is said in words: %s", ([target, source]) => {
    assert.strictEqual(Result.getOrThrow(end(target)).source, source)
  })

  it("comes with a warning exactly where it may not be reached for want of a later transaction", () => {
    const warnings = (target: string, changes?: Partial<RecoveryEnd.Recorded>) =>
      Result.getOrThrow(end(target, changes)).warnings
    assert.lengthOf(warnings("velero-backup"), 1)
    for (const part of ["Cluster shop/orders", storedAt, "committed later", "latest"]) {
      assert.include(warnings("velero-backup")[0], part)
    }
    for (const target of ["latest", "backup", "2026-11-19T09:30:00Z", "lsn:0/1", "xid:3", "name:m"]) {
      assert.deepStrictEqual(warnings(target), [], target)
    }
    assert.deepStrictEqual(warnings("velero-backup", { freshBackupId: id }), [])
  })
})

describe("what the archive cannot give", () => {
  it.for([
    ["2026-11-01T01:59:59Z", {}, ["2026-11-01T01:59:59Z", "window", "orders-v1", "2026-11-01T02:00:00Z"]],
    ["2026-11-20T00:00:01Z", {}, ["future"]],
    ["velero-backup", { firstRecoverabilityPoint: "2026-11-19T10:00:00Z" }, ["window", "2026-11-19T10:00:00Z"]],
    ["velero-backup", { storedAt: undefined }, ["velero-cnpg/stored-at", "older version"]],
    ["velero-backup", { storedAt: "yesterday" }, ["velero-cnpg/stored-at"]],
    ["backup", without, ["no", "base backup", "latest"]],
    ["xid:741", without, ["transaction 741", "base backup"]],
    ["name:m", without, ["restore point m", "base backup"]],
    ["backup", { firstRecoverabilityPoint: "2026-11-19T10:00:00Z" }, [id, "window", "2026-11-19T10:00:00Z"]],
    ["xid:741", { firstRecoverabilityPoint: "2026-11-19T10:00:00Z" }, [id, "window", "2026-11-19T10:00:00Z"]],
    [
      "velero-backup",
      { freshBackupId: id, firstRecoverabilityPoint: "2026-11-19T10:00:00Z" },
      [id, "window", "2026-11-19T10:00:00Z"]
    ]
  ] as const)("%s, recorded %j", ([target, changes, parts]) => {
    const said = message(target, changes)
    for (const part of ["Cluster shop/orders", "velero-cnpg/recovery-target", ...parts]) assert.include(said, part)
  })
})

describe("what a backup recorded", () => {
  it("is read from annotations; empty ones are none", () => {
    const of = (annotations: Readonly<Record<string, string>> | null | undefined) =>
      RecoveryEnd.recordedOf(annotations, "orders-v1")
    const nothing = {
      serverName: "orders-v1",
      backupId: undefined,
      backupEndedAt: undefined,
      freshBackupId: undefined,
      storedAt: undefined,
      firstRecoverabilityPoint: undefined
    }
    for (const annotations of [null, undefined, {}, { "velero-cnpg/current-backup-id": "" }]) {
      assert.deepStrictEqual<RecoveryEnd.Recorded>(of(annotations), nothing)
    }
    assert.deepStrictEqual<RecoveryEnd.Recorded>(
      of({
        "velero-cnpg/current-backup-id": id,
        "velero-cnpg/current-backup-ended-at": "2026-11-19T02:01:41Z",
        "velero-cnpg/stored-at": storedAt,
        "velero-cnpg/first-recoverability-point": "2026-11-01T02:00:00Z"
      }),
      usual
    )
  })
})

describe("a recorded id that is none of Barman's, as the Go plugin records that of a volume snapshot", () => {
  const recorded = RecoveryEnd.recordedOf({ "velero-cnpg/current-backup-id": "orders-snapshot" }, "orders-v1")
  const resolve = (target: string) =>
    RecoveryEnd.resolve("Cluster shop/orders", Option.getOrThrow(RecoveryTarget.parse(target)), recorded, now)

  it("is not what the operator is told to look for", () => {
    const { fields, warnings } = Result.getOrThrow(resolve("latest"))
    assert.deepStrictEqual(fields, {})
    assert.strictEqual(warnings.length, 1)
    for (const part of ["Cluster shop/orders", "orders-snapshot", "volume snapshot"]) assert.include(warnings[0], part)
  })

  it("does not serve a target that takes a base backup", () => {
    assert.isTrue(Result.isFailure(resolve("backup")))
  })

  it("is any that is no time", () => {
    const kept = RecoveryEnd.recordedOf({ "velero-cnpg/current-backup-id": id }, "orders-v1")
    assert.deepStrictEqual([kept.backupId, kept.foreignBackupId], [id, undefined])
    for (const other of ["20261119T02000", "x20261119T020003", "2026-11-19T02:00:03Z"]) {
      const { backupId, foreignBackupId } = RecoveryEnd.recordedOf({ "velero-cnpg/current-backup-id": other }, "s")
      assert.deepStrictEqual([backupId, foreignBackupId], [undefined, other])
    }
  })
})
