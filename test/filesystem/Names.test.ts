import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Names from "../../src/filesystem/Names.ts"
import * as World from "./World.ts"

const pathOf = (key: string): string => {
  const { directories, file } = Result.getOrThrow(Names.place(key))
  return [...directories, file].join("/")
}

/** Reads a path as a listing does, name by name. */
const keyOf = (path: string): Option.Option<string> => {
  const components: Array<string> = []
  let continued = ""
  for (const name of path.split("/")) {
    const meaning = Option.getOrUndefined(Names.meaning(name, continued))
    if (meaning === undefined) return Option.none()
    if (meaning._tag === "Continued") {
      continued = meaning.spelling
    } else {
      components.push(meaning.component)
      continued = ""
    }
  }
  return continued === "" ? Option.some(components.join("/")) : Option.none()
}

/** Any text that the store takes as a key. */
const anyKey = Arbitrary.filter(
  Arbitrary.map(Arbitrary.schema(Schema.String), (text) => `k${text.toWellFormed().replaceAll("\0", "0")}`),
  (text) => Result.isSuccess(Names.place(text))
)

describe("keys that Velero uses", () => {
  it.each([
    "backups/daily-20261121000000/velero-backup.json",
    "prefix/backups/b1/b1.tar.gz",
    "cluster.example.com/backups/b1.2/b1.2-podvolumebackups.json.gz",
    "restores/r1/restore-r1-logs.gz",
    "metadata/revision",
    "a b (1) ~+=@,;!$&'#?*:\"<>|[]{}^`\\"
  ])("are their own path: %s", (key) => assert.strictEqual(pathOf(key), key))
})

describe("keys that a directory cannot hold", () => {
  it.each([
    ["größe", "gr%C3%B6%C3%9Fe"],
    ["100%", "100%25"],
    ["a\nb\u007f", "a%0Ab%7F"],
    ["a//b", "a/%/b"],
    ["a/", "a/%"],
    ["a//", "a/%/%"],
    [".", "%2E"],
    ["./a/.", "%2E/a/%2E"],
    [".../.a/a.", ".../.a/a."],
    ["x".repeat(240), "x".repeat(240)],
    ["x".repeat(241), `${"x".repeat(240)}%c/x`],
    [`${"x".repeat(500)}/y`, `${"x".repeat(240)}%c/${"x".repeat(240)}%c/${"x".repeat(20)}/y`],
    // A spelling may be cut anywhere, also within a byte's.
    [`${"x".repeat(239)}%`, `${"x".repeat(239)}%%c/25`]
  ])("are spelled another way: %j", (key, path) => {
    assert.strictEqual(pathOf(key), path)
    assert.deepStrictEqual(keyOf(path), Option.some(key))
  })
})

describe("every key", () => {
  it.effect.prop(
    "is read back from its path, which no file system refuses",
    { key: anyKey, made: World.key },
    ({ key, made }) =>
      Effect.sync(() => {
        for (const one of [key, made]) {
          const path = pathOf(one)
          assert.deepStrictEqual(keyOf(path), Option.some(one))
          for (const name of path.split("/")) {
            assert.match(name, /^[ -~]{1,242}$/)
            assert.isFalse([".", ".."].includes(name))
            for (const other of [...Names.objectNames(name), ...Names.directoryNames(name)]) {
              assert.isAtMost(other.length, 255)
            }
          }
        }
      }),
    { arbitrary: { runs: 500, size: 60 } }
  )

  it.effect.prop(
    "has a path of its own, which is not another key's alternative either",
    { one: World.key, other: World.key },
    ({ one, other }) =>
      Effect.sync(() => {
        if (one === other) return
        assert.notStrictEqual(pathOf(one), pathOf(other))
        const names = (key: string) => [...Names.objectNames(pathOf(key)), ...Names.directoryNames(pathOf(key))]
        const shared = names(one).filter((name) => names(other).includes(name))
        assert.deepStrictEqual(shared, [])
      }),
    { arbitrary: { runs: 500, size: 30 } }
  )

  it.effect.prop(
    "is below the base of each of its prefixes",
    { key: World.key, length: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })) },
    ({ key, length }) =>
      Effect.sync(() => {
        const prefix = Array.from(key).slice(0, length).join("")
        const base = Result.getOrThrow(Names.base(prefix))
        assert.isTrue(prefix.startsWith(base.prefix))
        assert.isTrue(["", ...base.directories].every((_, index) => pathOf(key).split("/")[index] !== undefined))
        const { directories } = Result.getOrThrow(Names.place(key))
        assert.deepStrictEqual(directories.slice(0, base.directories.length), [...base.directories])
      }),
    { arbitrary: { runs: 500 } }
  )
})

describe("a marked name", () => {
  it("stands for its component, and says of what kind it must be", () => {
    const [, object = ""] = Names.objectNames("a.json")
    const [directory = "", own] = Names.directoryNames("a.json")
    assert.deepStrictEqual([object, directory, own], ["a.json%o", "a.json%d", "a.json"])
    const component = { _tag: "Component", component: "a.json" } as const
    assert.deepStrictEqual(Names.meaning(object, ""), Option.some({ ...component, only: "file" }))
    assert.deepStrictEqual(Names.meaning(directory, ""), Option.some({ ...component, only: "directory" }))
    assert.deepStrictEqual(Names.meaning("a.json", ""), Option.some({ ...component, only: undefined }))
  })

  it("is not needed where no object ever is", () => {
    const [name = ""] = Result.getOrThrow(Names.place("x".repeat(300))).directories
    assert.deepStrictEqual(Names.directoryNames(name), [name])
  })
})

describe("names that nobody of us wrote", () => {
  it.each([
    "",
    "%c",
    "%o",
    "%d",
    "x%c",
    "gr%c3%b6",
    "a%20b",
    "%41",
    "%",
    "%2F",
    "%2E%2E",
    "%C3",
    "größe",
    "a\tb",
    "x".repeat(241),
    "a%%b",
    "a%"
  ])("stand for nothing: %j", (name) => {
    // `%` alone is the empty component.
    assert.strictEqual(Option.isNone(Names.meaning(name, "")), name !== "%")
  })
})

describe("refusals", () => {
  it.each([
    ["", "it is empty"],
    ["/etc/passwd", "it is absolute"],
    ["..", "it has a component .."],
    ["a/../b", "it has a component .."],
    ["a/..", "it has a component .."],
    ["a\0b", "it contains a NUL byte"],
    ["\ud800", "it is not Unicode text"],
    ["é".repeat(513), "it is longer than 1024 bytes"]
  ])("say why, and which key: %j", (key, reason) => {
    const error = Result.getOrThrow(Result.flip(Names.place(key)))
    assert.include(error.message, reason)
    assert.include(error.message, JSON.stringify(key))
  })

  it("of prefixes are the same, but for the empty one", () => {
    assert.isTrue(Result.isSuccess(Names.base("")))
    for (const prefix of ["/", "../", "a/../", "\0", "\udc00"]) {
      assert.strictEqual(Result.getOrThrow(Result.flip(Names.base(prefix))).what, "prefix")
    }
  })

  it.each(["", ".", "..", ".velero-filesystem", "a/b", "a\0", "größe", "-a", "a".repeat(256)])(
    "of buckets keep to one plain directory: %j",
    (bucket) => assert.isTrue(Result.isFailure(Names.bucket(bucket)))
  )

  it.each(["velero", "a", "1", "My_Bucket.example.com-1"])("leave ordinary buckets alone: %s", (bucket) =>
    assert.deepStrictEqual(Names.bucket(bucket), Result.succeed(bucket))
  )
})

describe("listings", () => {
  it("are sorted by bytes of UTF-8, as S3 sorts", () => {
    // JavaScript would put the surrogate pair first.
    assert.deepStrictEqual(Names.sorted(["\u{10000}", "\uffff", "b", "a/b", "a-b", "a", "B", "a"]), [
      "B",
      "a",
      "a-b",
      "a/b",
      "b",
      "\uffff",
      "\u{10000}"
    ])
  })

  it.each([
    ["backups/b1/x", "", "/", "backups/"],
    ["backups/b1/x", "backups/", "/", "backups/b1/"],
    ["backups/b1/x", "backups/b", "/", "backups/b1/"],
    ["backups/b1", "backups/", "/", undefined],
    ["a//b", "a/", "/", "a//"],
    ["a--b--c", "a", "--", "a--"],
    ["a", "a", "", undefined],
    ["b", "a", "/", undefined]
  ])("with a delimiter shorten %j with prefix %j and delimiter %j to %j", (key, prefix, delimiter, expected) =>
    assert.deepStrictEqual(Names.commonPrefix(key, prefix, delimiter), Option.fromUndefinedOr(expected))
  )
})
