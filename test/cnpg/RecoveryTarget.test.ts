import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as RecoveryTarget from "../../src/cnpg/RecoveryTarget.ts"

const read = (text: string) => Option.getOrUndefined(RecoveryTarget.parse(text))
const time = (text: string, of: string) => ({ _tag: "Time", text, millis: Date.parse(of) })

describe("a target", () => {
  it.for([
    ["latest", { _tag: "Latest" }],
    ["backup", { _tag: "Backup" }],
    ["velero-backup", { _tag: "VeleroBackup" }],
    ["2026-11-19T09:30:00Z", time("2026-11-19T09:30:00Z", "2026-11-19T09:30:00Z")],
    ["2026-11-19T10:30:00+01:00", time("2026-11-19T09:30:00Z", "2026-11-19T09:30:00Z")],
    ["2026-11-19T00:10:00-05:30", time("2026-11-19T05:40:00Z", "2026-11-19T05:40:00Z")],
    ["2026-12-31T23:30:00-01:00", time("2027-01-01T00:30:00Z", "2027-01-01T00:30:00Z")],
    ["2026-11-19T09:30:00.123456Z", time("2026-11-19T09:30:00.123456Z", "2026-11-19T09:30:00.123Z")],
    ["2026-11-19T09:30:00.5+02:00", time("2026-11-19T07:30:00.5Z", "2026-11-19T07:30:00.500Z")],
    ["2028-02-29T00:00:00Z", time("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z")],
    ["lsn:0/3000060", { _tag: "Lsn", lsn: "0/3000060" }],
    ["lsn:1F/ABCdef01", { _tag: "Lsn", lsn: "1F/ABCdef01" }],
    ["xid:1", { _tag: "Xid", xid: "1" }],
    ["xid:4294967295", { _tag: "Xid", xid: "4294967295" }],
    ["name:before-migration", { _tag: "Name", name: "before-migration" }],
    ["name:before the migration: 2", { _tag: "Name", name: "before the migration: 2" }],
    ["name:latest", { _tag: "Name", name: "latest" }],
    [`name:${"ä".repeat(31)}`, { _tag: "Name", name: "ä".repeat(31) }]
  ] as const)("%s", ([text, point]) => {
    assert.deepStrictEqual<unknown>(read(text), { point, timeline: undefined })
    assert.deepStrictEqual<unknown>(read(`${text} timeline:3`), { point, timeline: "3" })
    assert.deepStrictEqual<unknown>(read(`${text} timeline:latest`), { point, timeline: "latest" })
  })

  it("may be a timeline alone", () => {
    assert.deepStrictEqual<unknown>(read("timeline:4"), { point: { _tag: "Latest" }, timeline: "4" })
  })

  it.for([
    "",
    " ",
    "Latest",
    "latest ",
    " backup",
    "velero backup",
    "now",
    // No zone, no date, no such time.
    "2026-11-19T09:30:00",
    "2026-11-19 09:30:00Z",
    "2026-11-19T09:30Z",
    "2026-11-19",
    "09:30:00Z",
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-11-00T00:00:00Z",
    "2026-11-31T00:00:00Z",
    "2026-11-19T24:00:00Z",
    "2026-11-19T09:60:00Z",
    "2026-11-19T09:30:60Z",
    "2026-11-19T09:30:00+1:00",
    "2026-11-19T09:30:00+15:00",
    "2026-11-19T09:30:00+01:60",
    "2026-11-19T09:30:00.1234567Z",
    "2026-11-19t09:30:00z",
    "0026-11-19T09:30:00Z",
    "lsn:",
    "lsn:3000060",
    "lsn:0/",
    "lsn:0/G",
    "lsn:0/3000060 ",
    "lsn:123456789/0",
    "LSN:0/3000060",
    "xid:",
    "xid:0",
    "xid:-1",
    // PostgreSQL would read it as octal.
    "xid:010",
    "xid:0x10",
    "xid:4294967296",
    "xid:1.0",
    "name:",
    `name:${"a".repeat(64)}`,
    `name:${"ä".repeat(32)}`,
    "name:a\nb",
    "name:a\u007f",
    "name:\ud800",
    "timeline:",
    "timeline:0",
    "timeline:01",
    "timeline:-1",
    "timeline:Latest",
    "timeline:4294967296",
    "latest timeline:",
    "latest timeline:2 timeline:3",
    "latesttimeline:2",
    "latest,timeline:2",
    "timeline:2 latest"
  ])("is not %j", (text) => {
    assert.isUndefined(read(text))
  })

  it.prop(
    "in time is the same instant, to the microsecond, wherever it was written",
    {
      millis: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4e12 }))),
      minutes: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: -14 * 60, maximum: 14 * 60 }))),
      micros: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 })))
    },
    ({ micros, millis, minutes }) => {
      const two = (value: number) => String(value).padStart(2, "0")
      const zone = `${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`
      const there = new Date(millis + minutes * 60_000).toISOString().slice(0, -1)
      const rest = String(micros).padStart(3, "0")
      assert.deepStrictEqual<unknown>(read(`${there}${rest}${zone}`)?.point, {
        _tag: "Time",
        text: `${new Date(millis).toISOString().slice(0, -1)}${rest}Z`,
        millis
      })
    }
  )
})
