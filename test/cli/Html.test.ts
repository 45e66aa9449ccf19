import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { Preview } from "../../src/cli/Preview.ts"
import type { ClusterPreview } from "../../src/cli/preview/Clusters.ts"
import * as Html from "../../src/cli/preview/Html.ts"
import { html } from "../../src/cli/preview/Markup.ts"
import { timeLine } from "../../src/cli/preview/TimeLine.ts"
import type { Entry } from "../../src/testing/VeleroHost.ts"
import { annotation } from "../../src/cnpg/Names.ts"
import * as World from "../cnpg/World.ts"

/** Whatever an object, a log or a file name may hold. */
interface Words {
  readonly name: string
  readonly value: string
  readonly message: string
  readonly file: string
}

const entry = (resource: string, kind: string, name: string, object: World.Tree): Entry => ({
  resource,
  kind,
  namespace: "shop",
  name,
  text: JSON.stringify({ kind, metadata: { name, namespace: "shop" }, ...object })
})

/** A preview in which they stand wherever something can. */
const previewOf = ({ file, message, name, value }: Words): Preview => {
  const metadata = { name, namespace: "shop" }
  const annotations = { [annotation.serverName]: value, [annotation.backupId]: value, [value]: value }
  const cluster = (more: World.Tree): Entry =>
    entry("clusters.postgresql.cnpg.io", "Cluster", name, {
      metadata: { ...metadata, annotations },
      spec: { plugins: [World.archiver({ barmanObjectName: value, serverName: value })], ...more }
    })
  const before = cluster({})
  const after = cluster({
    bootstrap: { recovery: { source: "clusterBackup", recoveryTarget: { targetName: value } } },
    externalClusters: [{ name: "clusterBackup", plugin: { name: World.barman, parameters: { serverName: value } } }]
  })
  const backups = ["2026-11-18T02:00:00Z", "2026-11-19T02:00:00Z"].map((stoppedAt, index) =>
    entry("backups.postgresql.cnpg.io", "Backup", `${name}-${index}`, {
      spec: { cluster: { name } },
      status: { phase: index === 0 ? "completed" : value, backupId: value, method: value, stoppedAt }
    })
  )
  const log = {
    level: "warn",
    message,
    fields: { resource: "Cluster.postgresql.cnpg.io", name, namespace: "shop", error: message }
  } as const
  const item = { actions: [], error: undefined, operations: [], skippedBy: undefined }
  return {
    files: [file],
    backupAnnotations: { [value]: value },
    restoreAnnotations: { [value]: value },
    namespaceMapping: { [value]: name },
    tarball: undefined,
    cluster: { name: value, namespaces: [name], unread: [message] },
    backup: {
      items: [before, ...backups].map((each) => ({ ...item, before: each, after: each })),
      logs: [log],
      operations: [{ item: before, waitsFor: message, done: message, error: message }],
      written: [{ apiVersion: "v1", kind: "Backup", metadata: { name, annotations } }]
    },
    restore: {
      items: [
        { ...item, before, after, outcome: "created" },
        { ...item, before: backups[0] as Entry, after: undefined, outcome: "skipped", skippedBy: value },
        { ...item, before: backups[1] as Entry, after: undefined, outcome: "failed", error: message }
      ],
      logs: [log]
    },
    written: [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name, annotations }, data: { [value]: value } }]
  }
}

const page = (words: Words) =>
  Html.page(previewOf(words), { program: words.name, version: words.value, at: "2026-11-19T09:30:00Z" })

/** Elements, and names of attributes, as a parser of HTML finds them. */
const parse = (text: string) => {
  const elements = new Set<string>()
  const attributes = new Set<string>()
  new HTMLRewriter()
    .on("*", {
      element: (element) => {
        elements.add(element.tagName.toLowerCase())
        for (const [name] of element.attributes) attributes.add(name)
      },
      comments: (comment) => assert.fail(`a comment: ${comment.text}`)
    })
    .transform(text)
  return { elements, attributes }
}

const harmless: Words = { name: "orders", value: "orders-v1", message: "recovers", file: "shop.yaml" }

const hostile = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onload='alert(1)`,
  `</style></title></pre></svg><iframe>`,
  `<!-- `,
  `]]>`,
  `&lt;script&gt;`,
  `\u202egnp.exe`,
  `\u0000\u001b[31m`,
  `\ud800`,
  `\${1}`,
  `+<b>`,
  `line\nbreak`,
  ``
]

describe("the page", () => {
  const expected = parse(page(harmless))

  it("has nothing that runs or that is fetched", () => {
    for (const name of ["script", "link", "img", "iframe", "object", "a", "base", "form"]) {
      assert.notInclude([...expected.elements], name)
    }
    for (const name of expected.attributes) assert.notMatch(name, /^(on|src|href|style)/)
    assert.include(page(harmless), `content="default-src 'none'; style-src 'unsafe-inline'"`)
    assert.notMatch(page(harmless), /url\(|@import|https?:/)
  })

  const Word = Schema.Union([Schema.Literals(hostile), Schema.String])

  it.prop(
    "has no element and no attribute of what it shows",
    [Word, Word, Word, Word],
    ([name, value, message, file]) => {
      const { attributes, elements } = parse(page({ name, value, message, file }))
      assert.deepStrictEqual(
        [...elements].filter((each) => !expected.elements.has(each)),
        []
      )
      assert.deepStrictEqual(
        [...attributes].filter((each) => !expected.attributes.has(each)),
        []
      )
    }
  )

  it("shows what is hostile as it is written", () => {
    const text = page({ ...harmless, message: `<b title="x">&amp;'\u202e\u0007` })
    assert.include(text, "&lt;b title=&quot;x&quot;&gt;&amp;amp;&#39;\\u202e\\u0007")
    assert.notInclude(text, "\u202e")
  })
})

describe("markup", () => {
  it("nests without escaping twice, and leaves out what is false", () => {
    assert.strictEqual(html`<p>${[html`<b>${"<"}</b>`, false, 3, ["&"]]}</p>`.markup, "<p><b>&lt;</b>3&amp;</p>")
  })
})

describe("the time line", () => {
  const backup = (name: string, stoppedAt: string | null, more: Partial<ClusterPreview["backups"][0]> = {}) => ({
    name,
    id: name,
    phase: "completed",
    method: "plugin",
    startedAt: null,
    stoppedAt,
    isUsable: true,
    ...more
  })

  const cluster = (more: Partial<ClusterPreview> = {}, target: World.Tree = {}): ClusterPreview => ({
    namespace: "shop",
    name: "orders",
    restoredTo: "shop/orders",
    recorded: {
      serverName: "orders-v1",
      backupId: "three",
      backupEndedAt: "2026-11-19T02:00:00Z",
      storedAt: "2026-11-20T00:00:00Z",
      firstRecoverabilityPoint: "2026-11-18T00:00:00Z"
    },
    recovery: { serverName: "orders-v1", target },
    archivesUnder: "new",
    backups: [
      backup("one", "2026-11-17T02:00:00Z"),
      backup("two", "2026-11-18T02:00:00Z"),
      backup("three", "2026-11-19T02:00:00Z"),
      backup("snapshot", "2026-11-19T03:00:00Z", { method: "volumeSnapshot", isUsable: false }),
      backup("broken", "2026-11-19T04:00:00Z", { phase: "failed", isUsable: false }),
      backup("running", null, { phase: "started", isUsable: false })
    ],
    atBackup: [],
    atRestore: [],
    ...more
  })

  const draw = (it: ClusterPreview): string => timeLine(it)?.markup ?? ""

  /** Classes and places of the base backups. */
  const circles = (it: ClusterPreview) =>
    [...draw(it).matchAll(/<circle class="(\w+)" cx="([\d.]+)"/g)].map(([, kind, x]) => ({ kind, x: Number(x) }))

  const replay = (it: ClusterPreview) => {
    const [, from, to] = /class="replay" x1="([\d.]+)" x2="([\d.]+)"/.exec(draw(it)) ?? []
    return from === undefined ? undefined : { from: Number(from), to: Number(to) }
  }

  it("has the base backups that ended, in their order, and tells which are of use", () => {
    const found = circles(cluster())
    assert.deepStrictEqual(
      found.map(({ kind }) => kind),
      ["useless", "usable", "recorded", "useless", "useless"]
    )
    assert.deepStrictEqual(
      found.map(({ x }) => x),
      found.map(({ x }) => x).toSorted((a, b) => a - b)
    )
  })

  it("has the recovery from the recorded backup to the end of the archive", () => {
    const drawn = replay(cluster())
    assert.strictEqual(drawn?.from, circles(cluster())[2]?.x)
    assert.isAbove(drawn?.to ?? 0, circles(cluster())[4]?.x ?? 0)
    assert.include(draw(cluster()), "ends at the end of the archive")
  })

  it("has a recovery to a time from the newest base backup before", () => {
    const timed = cluster({}, { targetTime: "2026-11-18T12:00:00Z" })
    assert.strictEqual(replay(timed)?.from, circles(timed)[1]?.x)
    assert.isBelow(replay(timed)?.to ?? 0, circles(timed)[2]?.x ?? 0)
  })

  it("has a recovery to a backup end with it", () => {
    const drawn = replay(cluster({}, { backupID: "three", targetImmediate: true }))
    assert.strictEqual(drawn?.from, drawn?.to)
  })

  it("says where a place has no time", () => {
    const text = draw(cluster({}, { backupID: "three", targetLSN: "0/6000138" }))
    assert.include(text, "ends at LSN 0/6000138, whose time is not known here")
    assert.notInclude(text, `class="replay"`)
  })

  it("says what is not known, and is not drawn of less than two times", () => {
    const nothing = {
      serverName: null,
      backupId: null,
      backupEndedAt: null,
      storedAt: null,
      firstRecoverabilityPoint: null
    }
    assert.isUndefined(timeLine(cluster({ backups: [], recorded: nothing })))
    assert.isUndefined(timeLine(cluster({ backups: [], recorded: { ...nothing, storedAt: "2026-11-20T00:00:00Z" } })))
    const text = draw(
      cluster(
        { backups: [], recorded: { ...nothing, storedAt: "2026-11-20T00:00:00Z" } },
        { targetTime: "2026-11-19T00:00:00Z" }
      )
    )
    for (const known of ["none known here", "how far it reaches is not known here", `class="end"`]) {
      assert.include(text, known)
    }
    assert.isUndefined(
      timeLine(cluster({ backups: [backup("a", "nonsense")], recorded: { ...nothing, storedAt: "?" } }))
    )
  })

  it("stays within its frame, however far apart its times are", () => {
    for (const far of ["1970-01-01T00:00:00Z", "2026-11-19T23:59:59Z", "9999-12-31T23:59:59Z"]) {
      const text = draw(cluster({}, { targetTime: far }))
      for (const [, x] of text.matchAll(/ (?:x|x1|x2|cx)="([-\d.]+)"/g)) {
        assert.isTrue(Number(x) >= 0 && Number(x) <= 720, `${far}: ${x}`)
      }
      assert.isBelow(text.split(`class="tick"`).length, 9)
    }
  })

  it("cuts no date at its end", () => {
    for (let hour = 0; hour < 24; hour++) {
      const storedAt = `2026-11-21T${String(hour).padStart(2, "0")}:30:00Z`
      const text = draw(cluster({ recorded: { ...cluster().recorded, storedAt } }))
      for (const [, x, anchor, label = ""] of text.matchAll(
        /class="tick" x="([\d.]+)" y="\d+" text-anchor="(\w+)">([^<]*)/g
      )) {
        // Digits of the page's font are seven wide at most.
        const behind = anchor === "end" ? 0 : (label.length * 7) / 2
        assert.isAtMost(Number(x) + behind, 720, `${storedAt}: ${label}`)
      }
    }
  })
})
