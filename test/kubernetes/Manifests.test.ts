import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import * as Path from "node:path"
import { stringify } from "yaml"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { Kubernetes } from "../../src/kubernetes/Kubernetes.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import { cluster, clusters, configMap, temporaryDirectory } from "./support.ts"

const parse = (text: string): ReadonlyArray<KubernetesObject> =>
  Result.getOrThrowWith(Manifests.parse("file.yaml", text), (error) => error)

const wrong = (text: string): string =>
  Result.match(Manifests.parse("file.yaml", text), { onSuccess: JSON.stringify, onFailure: ({ message }) => message })

const names = (objects: ReadonlyArray<KubernetesObject>) =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata?.name}`)

/** The spec of a Cluster whose manifest has this one, as JSON. */
const specOf = (spec: string): string => {
  const head = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: orders}\n"
  return JSON.stringify(parse(`${head}spec:\n${spec.replace(/^/gm, "  ")}\n`)[0]?.["spec"])
}

const a = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
const b = a.replace("name: a", "name: b")

describe("documents", () => {
  it("are as many as a file has, with or without separators around them, comments and windows' line ends", () => {
    assert.deepStrictEqual(names(parse(a)), ["ConfigMap a"])
    assert.deepStrictEqual(names(parse(`---\n${a}---\n${b}`)), ["ConfigMap a", "ConfigMap b"])
    assert.deepStrictEqual(names(parse(`# first\n---\n---\n${a}...\n---\n# none\n---\n${b}---\n`)), [
      "ConfigMap a",
      "ConfigMap b"
    ])
    assert.deepStrictEqual(names(parse(`\uFEFF${a}---\n${b}`.replaceAll("\n", "\r\n"))), ["ConfigMap a", "ConfigMap b"])
  })

  it.each(["", "\n", "# nothing but\n# comments\n", "---\n---\n", "---\n# comment\n...\n", "null\n"])(
    "are none in %j",
    (text) => {
      assert.deepStrictEqual(parse(text), [])
    }
  )

  it("may be JSON, indented by anything, one after another", () => {
    const json = configMap("a", { text: "a: b # c", tab: "\t", quote: '"' })
    for (const indent of [0, 2, "\t"]) assert.deepStrictEqual(parse(JSON.stringify(json, undefined, indent)), [json])
    const second = configMap("b")
    for (const indent of [0, 4]) {
      const text = [json, second].map((object) => `${JSON.stringify(object, undefined, indent)}\n`).join("")
      assert.deepStrictEqual(parse(text), [json, second])
      assert.deepStrictEqual(parse(text.replaceAll("\n", "\r\n")), [json, second])
    }
  })

  it("may be lists, lists of lists, and lists of one kind as the API prints them", () => {
    const list = (...items: ReadonlyArray<unknown>) => ({ apiVersion: "v1", kind: "List", metadata: {}, items })
    assert.deepStrictEqual(parse(JSON.stringify(list(configMap("a"), list(configMap("b"), list(cluster("c")))))), [
      configMap("a"),
      configMap("b"),
      cluster("c")
    ])
    assert.deepStrictEqual(parse(JSON.stringify(list())), [])
    assert.deepStrictEqual(parse("apiVersion: v1\nkind: List\nitems: null\n"), [])
    assert.deepStrictEqual(
      parse("apiVersion: example.io/v1\nkind: WidgetList\nitems:\n- metadata: {name: a}\n- {metadata: {name: b}}"),
      ["a", "b"].map((name) => ({ apiVersion: "example.io/v1", kind: "Widget", metadata: { name } }))
    )
    assert.match(
      wrong("apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}"),
      /item 1 has no apiVersion or no kind/
    )
  })

  it("keep an object whose kind only sounds like a list", () => {
    const object = { apiVersion: "example.io/v1", kind: "AllowList", metadata: { name: "a" }, spec: { items: [] } }
    assert.deepStrictEqual(parse(JSON.stringify(object)), [object])
  })

  // A parser of YAML takes a minute for these 10 MB.
  it("take large dumps of JSON", { timeout: 15_000 }, () => {
    const items = Array.from({ length: 100_000 }, (_, index) => configMap(`c${index}`))
    assert.lengthOf(parse(JSON.stringify({ apiVersion: "v1", kind: "List", items })), 100_000)
  })
})

describe("values", () => {
  it("of anchors are where aliases and merges name them", () => {
    assert.strictEqual(
      specOf("base: &base {x: 1, w: [1.0]}\ncopy: *base\nmerged:\n  <<: *base\n  z: 3\n"),
      `{"base":{"x":1,"w":[1.0]},"copy":{"x":1,"w":[1.0]},"merged":{"x":1,"w":[1.0],"z":3}}`
    )
  })

  it.each([
    ["9223372036854775807"],
    ["-9223372036854775808"],
    ["18446744073709551616"],
    ["1.0"],
    ["-0"],
    ["1e3"],
    ["1.50E+10"],
    ["0.1000000000000000055511151231257827"],
    ["1e999"],
    ["3"],
    ["0"]
  ])("keep the number %s", (number) => {
    assert.strictEqual(specOf(`k: ${number}`), `{"k":${number}}`)
    assert.strictEqual(specOf(`- ${number}\n- {k: [${number}]}`), `[${number},{"k":[${number}]}]`)
    const json = `{"apiVersion":"v1","kind":"W","metadata":{"name":"a"},"n":${number}}`
    assert.strictEqual(JSON.stringify(parse(json)[0]), json)
  })

  // Asked of kubectl 1.32: `kubectl annotate --local -o json`.
  it.each([
    ["defaultMode: 0644", `{"defaultMode":420}`],
    ["defaultMode: 0o644", `{"defaultMode":420}`],
    ["a: 0x1F\nb: 0b11\nc: 1_000\nd: +1\ne: .5\nf: 5.\ng: 08", `{"a":31,"b":3,"c":1000,"d":1,"e":0.5,"f":5,"g":8}`],
    ["a: yes\nb: No\nc: on\nd: OFF\ne: true\nf: y", `{"a":true,"b":false,"c":true,"d":false,"e":true,"f":true}`],
    ["a: ~\nb: null\nc:\nd: Null", `{"a":null,"b":null,"c":null,"d":null}`],
    ["a: 2024-06-15\nb: 2024-06-15T14:30:00Z", `{"a":"2024-06-15","b":"2024-06-15T14:30:00Z"}`],
    ["a: 1:30\nb: 12:30:45", `{"a":"1:30","b":"12:30:45"}`],
    [`a: "0644"\nb: 'yes'\nc: !!str 123`, `{"a":"0644","b":"yes","c":"123"}`],
    ["a: |\n  x\n  y\nb: >-\n  x\n  y", `{"a":"x\\ny\\n","b":"x y"}`],
    ["true: a\nx: b", `{"true":"a","x":"b"}`],
    ["0644: a\n9007199254740993: b\n1.0: c\nn: d", `{"1":"c","420":"a","9007199254740993":"b","false":"d"}`]
  ])("are those of kubectl in %j", (spec, expected) => {
    assert.strictEqual(specOf(spec), expected)
  })
})

describe("what is wrong", () => {
  it.each([
    ["a: [", /^file\.yaml: document 1 is not YAML: Flow sequence .* at line 1, column 5:\n\na: \[\n/],
    [`${a}---\na: b: c\n`, /^file\.yaml: document 2 is not YAML: Nested mappings .* at line 6, column 4:/],
    [`${a}---\na: 1\na: 2\n`, /^file\.yaml: document 2 is not YAML: Map keys must be unique at line 7/],
    [`${a}data: *gone\n`, /^file\.yaml: document 1 is not YAML: Unresolved alias .*: gone$/],
    [`${a}data: .inf\n`, /^file\.yaml: document 1 has the number \.inf, which JSON cannot hold: write another$/],
    [`${a}data: [-.INF, .nan]\n`, /has the number \.nan, which/],
    ["- a\n- b\n", /^file\.yaml: document 1 is not a Kubernetes object: write apiVersion, kind and metadata\.name$/],
    ["hello", /^file\.yaml: document 1 is not a Kubernetes object/],
    [`${a}---\n42\n`, /^file\.yaml: document 2 is not a Kubernetes object/],
    ["image: postgres\n", /^file\.yaml: document 1 has no apiVersion or no kind: write both, as strings$/],
    ["apiVersion: 1\nkind: ConfigMap\n", /has no apiVersion or no kind: write both, as strings$/],
    ["apiVersion: v1\nkind: ConfigMap\n", /document 1 is a ConfigMap without metadata\.name: write it, in quotes if/],
    ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 0644}\n", /is a ConfigMap without metadata\.name: write it/],
    [
      `${a}---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items: [null, 7]\n`,
      /^file\.yaml: document 2, item 1, item 2 is not a Kubernetes object/
    ]
  ])("in %j is said with file, place and remedy", (text, expected) => {
    assert.match(wrong(text), expected)
  })

  it("in aliases without end is said, before memory is full", () => {
    const grow = (name: string, of: string) =>
      `${name}: &${name} [${Array.from({ length: 10 }, () => `*${of}`).join()}]\n`
    const bomb = `${a}l0: &l0 [x]\n${Array.from({ length: 9 }, (_, level) => grow(`l${level + 1}`, `l${level}`)).join("")}`
    assert.match(wrong(bomb), /^file\.yaml: document 1 is not YAML: Excessive alias count/)
  })

  it.effect("in a path is said with what to do", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(Manifests.load(["/nowhere/shop.yaml"]))
      assert.strictEqual(missing._tag, "ManifestError")
      assert.match(
        missing.message,
        /^\/nowhere\/shop\.yaml: cannot be read \(ENOENT.*\): name a file with manifests, or - for standard input$/
      )
      assert.match((yield* Effect.flip(Manifests.load(["/"]))).message, /^\/: cannot be read \(EISDIR/)
    })
  )
})

describe("files", () => {
  it.effect("are read in order, and make a cluster", () =>
    Effect.gen(function* () {
      const write = yield* temporaryDirectory
      const files = [write("b.yaml", `${b}---\n${a}`), write("a.json", JSON.stringify(cluster("orders", { n: 1 })))]
      assert.deepStrictEqual(names(yield* Manifests.load(files)), ["ConfigMap b", "ConfigMap a", "Cluster orders"])
      const kubernetes = yield* Effect.provide(Kubernetes, Manifests.layer(files))
      assert.deepStrictEqual((yield* kubernetes.get(clusters, "shop", "orders"))["spec"], { n: 1 })
      const error = yield* Effect.flip(
        Effect.provide(Kubernetes, Manifests.layer([...files, write("c.yaml", "- none")]))
      )
      assert.match(error.message, /\/c\.yaml: document 1 is not/)
    })
  )

  it.live("are standard input where they are called -", () =>
    Effect.gen(function* () {
      const module = Path.join(import.meta.dirname, "../../src/kubernetes/Manifests.ts")
      const program = `
        const Effect = await import("effect/Effect")
        const { load } = await import(${JSON.stringify(module)})
        const result = await Effect.runPromise(Effect.result(load(["-"])))
        process.stdout.write(result._tag === "Success" ? JSON.stringify(result.success) : result.failure.message)`
      const run = (input: string) =>
        Effect.callback<string>((resume) => {
          const child = spawn(process.execPath, ["-e", program], { cwd: import.meta.dirname, stdio: "pipe" })
          let output = ""
          child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
          child.on("close", () => resume(Effect.succeed(output)))
          child.stdin.end(input)
        })
      const [good, bad] = yield* Effect.all([run(`${a}---\n${b}`), run("- a")])
      assert.deepStrictEqual(names(JSON.parse(good) as ReadonlyArray<KubernetesObject>), ["ConfigMap a", "ConfigMap b"])
      assert.match(bad, /^standard input: document 1 is not a Kubernetes object/)
    })
  )
})

describe("any objects", () => {
  const Objects = Schema.Array(Schema.Struct({ name: Schema.NonEmptyString, spec: Schema.Json }))
  // kubectl's YAML is 1.1: a printer of 1.2 does not quote "yes".
  const print = (value: unknown) => stringify(value, { version: "1.1", compat: "core" })
  const normal = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

  it.effect.prop(
    "printed as YAML, as a list or as JSON, are read as they were",
    { specs: Objects },
    ({ specs }) =>
      Effect.sync(() => {
        // JSON has no -0.
        const objects = normal(specs.map(({ name, spec }) => cluster(name, spec))) as ReadonlyArray<KubernetesObject>
        const list = { apiVersion: "v1", kind: "List", items: objects }
        assert.deepStrictEqual(normal(parse(objects.map(print).join("---\n"))), objects)
        assert.deepStrictEqual(normal(parse(print(list))), objects)
        assert.deepStrictEqual(normal(parse(JSON.stringify(list))), objects)
      }),
    { arbitrary: { runs: 150, seed: "manifests", size: 30 } }
  )
})
