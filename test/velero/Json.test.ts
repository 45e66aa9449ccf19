import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Json as JsonValue, JsonObject, Patch, Path } from "../../src/velero/Json.ts"
import * as Json from "../../src/velero/Json.ts"
import type { Choices, Written } from "../../src/testing/JsonText.ts"
import * as JsonText from "../../src/testing/JsonText.ts"

const property = { arbitrary: { runs: 400, size: 250 } } as const
const { copy, patch, remove, set } = Json

/** What patches mean, on parsed trees: maps for objects, so that no key is special. */
type Tree = null | boolean | number | string | ReadonlyArray<Tree> | ReadonlyMap<string, Tree>

const toTree = (value: JsonValue): Tree => {
  if (Array.isArray(value)) return (value as ReadonlyArray<JsonValue>).map(toTree)
  if (typeof value === "object" && value !== null) {
    return new Map(Object.entries(value as JsonObject).map(([key, member]) => [key, toTree(member ?? null)]))
  }
  // A zero of either sign is the same number.
  return value === 0 ? 0 : (value as Tree)
}
const parse = (text: string): Tree => toTree(JSON.parse(text) as JsonValue)

const nested = (path: Path, value: Tree): Tree =>
  path.reduceRight<Tree>((inner, step) => {
    if (typeof step === "string") return new Map([[step, inner]])
    if (step !== 0) throw new TypeError("behind the end")
    return [inner]
  }, value)

const model = {
  get: (tree: Tree, path: Path): Tree | undefined =>
    path.reduce<Tree | undefined>((at, step) => {
      if (at instanceof Map && typeof step === "string") return at.get(step)
      return Array.isArray(at) && typeof step === "number" ? (at as ReadonlyArray<Tree>)[step] : undefined
    }, tree),
  set: (tree: Tree, path: Path, value: Tree): Tree => {
    const [step, ...rest] = path
    if (step === undefined) return value
    const below = (old: Tree | undefined) => (old === undefined ? nested(rest, value) : model.set(old, rest, value))
    if (tree === null) return nested(path, value)
    if (tree instanceof Map && typeof step === "string") return new Map(tree).set(step, below(tree.get(step)))
    if (Array.isArray(tree) && typeof step === "number" && step <= tree.length) {
      return (tree as ReadonlyArray<Tree>).toSpliced(step, 1, below(tree[step]))
    }
    throw new TypeError("of another type")
  },
  remove: (tree: Tree, path: Path): Tree => {
    const [step, ...rest] = path
    if (step === undefined || model.get(tree, path) === undefined) return tree
    if (tree instanceof Map) {
      const old = tree.get(step as string) as Tree
      return rest.length > 0
        ? new Map(tree).set(step, model.remove(old, rest))
        : new Map([...tree].filter(([key]) => key !== step))
    }
    const elements = tree as ReadonlyArray<Tree>
    const kept = rest.length > 0 ? [model.remove(elements[step as number] as Tree, rest)] : []
    return elements.toSpliced(step as number, 1, ...kept)
  }
}

const modelPatch = (text: string, patches: ReadonlyArray<Patch>): Tree => {
  const original = parse(text)
  return patches.reduce((tree, edit) => {
    if (edit.op === "remove") return model.remove(tree, edit.path)
    const value = edit.op === "set" ? toTree(edit.value) : model.get(original, edit.from)
    return value === undefined ? tree : model.set(tree, edit.path, value)
  }, original)
}

/** What a call answers or throws, to compare it with another. */
const outcome = <A>(call: () => A): A | "TypeError" => {
  try {
    return call()
  } catch (error) {
    if (error instanceof TypeError) return "TypeError"
    throw error
  }
}

const patchOf = (choices: Choices, root: Written): Patch =>
  choices.of<() => Patch>([
    () => set(JsonText.pathOf(choices, root), JsonText.valueOf(choices)),
    () => remove(JsonText.pathOf(choices, root)),
    () => copy(JsonText.pathOf(choices, root), JsonText.pathOf(choices, root))
  ])()

/** A property of documents, with choices for what to do with them. */
const holds = (
  name: string,
  options: JsonText.Options,
  check: (document: JsonText.Document, choices: Choices) => void
) =>
  it.effect.prop(
    name,
    { drawn: JsonText.documents(options) },
    ({ drawn: { choices, document } }) => Effect.sync(() => check(document, choices)),
    property
  )

describe("slice", () => {
  holds("finds every value of a text by its path, spelled as it is", { duplicates: true }, ({ root, text }) => {
    for (const { path, value } of JsonText.places(root))
      assert.strictEqual(Json.slice(text, path), JsonText.print(value))
  })

  it.each<readonly [text: string, path: Path, expected: string | undefined]>([
    ['{"a":{"b":[1, 2.0]}}', ["a", "b", 1], "2.0"],
    [String.raw`{"\u0061":1}`, ["a"], "1"],
    ['{"a":1,"a":2}', ["a"], "2"],
    [' {"a" : "x"} ', [], '{"a" : "x"}'],
    ['{"1":"x"}', ["1"], '"x"'],
    ['{"1":"x"}', [1], undefined],
    ['{"a":["x"]}', ["a", "0"], undefined],
    ['{"a":["x"]}', ["a", 1], undefined],
    ['{"a":["x"]}', ["a", -1], undefined],
    ['{"a":"x"}', ["a", "length"], undefined],
    ['{"a":null}', ["a", "b"], undefined],
    ["{}", ["constructor"], undefined],
    ["{}", ["__proto__"], undefined]
  ])("of %s at %j is %s", (text, path, expected) => assert.strictEqual(Json.slice(text, path), expected))
})

describe("set", () => {
  holds("of a value that is there changes its text and no other byte", { duplicates: true }, (document, choices) => {
    const { path } = choices.of(JsonText.places(document.root))
    // No generated document holds it, so it is never equal already.
    const value = "set by the test"
    assert.strictEqual(
      patch(document.text, [set(path, value)]),
      JsonText.replaceAt(document, path, JSON.stringify(value))
    )
  })

  holds("of a new key is undone by its removal, byte for byte", { duplicates: true }, ({ root, text }, choices) => {
    for (const { path, value } of JsonText.places(root)) {
      const step = value.type === "array" ? value.members.length : JsonText.keyOf(choices)
      const full = [...path, step]
      if (value.type === "scalar" || Json.slice(text, full) !== undefined) continue
      const added = patch(text, [set(full, JsonText.valueOf(choices))])
      assert.isAbove(added.length, text.length)
      assert.strictEqual(patch(added, [remove(full)]), text)
    }
  })

  holds("of an equal value keeps its spelling", { duplicates: false }, ({ root, text }) => {
    // Of numbers that parsing rounds there is no equal value to set.
    const rounds = /\d{16}|e400/
    for (const { path, value } of JsonText.places(root)) {
      const written = JsonText.print(value)
      if (!rounds.test(written)) assert.strictEqual(patch(text, [set(path, JSON.parse(written) as JsonValue)]), text)
    }
  })

  it.each<readonly [name: string, text: string, path: Path, value: JsonValue, expected: string]>([
    ["makes the objects on its way", "{}", ["a", "b"], 1, '{"a":{"b":1}}'],
    ["makes an array for an index", "{}", ["a", 0, "b"], 1, '{"a":[{"b":1}]}'],
    ["takes a null on its way for missing", '{"a": null }', ["a", "b"], 1, '{"a": {"b":1} }'],
    ["takes a null for a missing array", '{"a":null}', ["a", 0], 1, '{"a":[1]}'],
    ["replaces a null", '{"a":null}', ["a"], {}, '{"a":{}}'],
    ["appends to an object behind its last value", '{"a": 1\n}', ["b"], 2, '{"a": 1,"b":2\n}'],
    ["fills an empty object with space in it", "{ }", ["b"], 2, '{ "b":2}'],
    ["appends to an array", '{"a":[1, 2 ]}', ["a", 2], 3, '{"a":[1, 2,3 ]}'],
    ["appends to an empty array", '{"a":[]}', ["a", 0], {}, '{"a":[{}]}'],
    ["replaces an element", '{"a":[1, 2]}', ["a", 0], "x", '{"a":["x", 2]}'],
    ["changes the last of duplicate keys", '{"a":1,"a":2}', ["a"], 3, '{"a":1,"a":3}'],
    ["finds a key in another spelling", String.raw`{"\u0061":1}`, ["a"], 2, String.raw`{"\u0061":2}`],
    ["does not take an integer-like key for an index", '{"0":1}', ["0"], 2, '{"0":2}'],
    ["makes a key of its own out of __proto__", "{}", ["__proto__", "a"], 1, '{"__proto__":{"a":1}}'],
    ["does not find what objects inherit", "{}", ["constructor"], 1, '{"constructor":1}'],
    ["escapes what UTF-8 cannot hold", "{}", ["\ud83d"], "\ud83d", String.raw`{"\ud83d":"\ud83d"}`],
    ["replaces the whole item", ' {"a":1} ', [], { b: 2 }, ' {"b":2} '],
    ["keeps the spelling of an equal number", '{"a":1.0}', ["a"], 1, '{"a":1.0}'],
    ["keeps the spelling of an equal number with exponent", '{"a":10E-1}', ["a"], 1, '{"a":10E-1}'],
    ["keeps the spelling of a zero", '{"a":-0.0e7}', ["a"], 0, '{"a":-0.0e7}'],
    [
      "keeps the spelling of an equal tree",
      '{"a": {"b" : "\\u003c"} }',
      ["a"],
      { b: "<" },
      '{"a": {"b" : "\\u003c"} }'
    ],
    ["replaces the same members in another order", '{"a":{"b":1,"c":2}}', ["a"], { c: 2, b: 1 }, '{"a":{"c":2,"b":1}}'],
    [
      "replaces an integer that only parsing makes equal",
      '{"a":9007199254740993}',
      ["a"],
      9007199254740992,
      '{"a":9007199254740992}'
    ],
    ["replaces a number that only parsing makes null", '{"a":1e400}', ["a"], null, '{"a":null}'],
    ["replaces a number of the other sign", '{"a":-5}', ["a"], 5, '{"a":5}'],
    ["replaces a string that reads like a number", '{"a":"1e0"}', ["a"], 1, '{"a":1}']
  ])("%s", (_, text, path, value, expected) => assert.strictEqual(patch(text, [set(path, value)]), expected))

  it.each<readonly [text: string, path: Path]>([
    ['{"a":"x"}', ["a", "b"]],
    ['{"a":1}', ["a", "b", "c"]],
    ['{"a":false}', ["a", 0]],
    ['{"a":"null"}', ["a", "b"]],
    ['{"a":{}}', ["a", 0]],
    ['{"a":[]}', ["a", "b"]],
    ['{"a":[]}', ["a", "0"]],
    ['{"a":[1]}', ["a", 2]],
    ['{"a":[1]}', ["a", -1]],
    ['{"a":null}', ["a", 1]],
    ["{}", ["a", 1, "b"]]
  ])("throws a TypeError for %s at %j", (text, path) => assert.throws(() => patch(text, [set(path, 1)]), TypeError))
})

describe("remove", () => {
  holds("drops a value with its comma, and no other byte", { duplicates: false }, (document) => {
    const { root, text } = document
    for (const { path } of JsonText.places(root).slice(1)) {
      const removed = patch(text, [remove(path)])
      assert.strictEqual(removed, JsonText.removeAt(document, path))
      assert.deepStrictEqual(parse(removed), model.remove(parse(text), path))
    }
  })

  it.each<readonly [name: string, text: string, path: Path, expected: string]>([
    ["drops a last key with the comma before it", '{"a": 1 , "b": 2 }', ["b"], '{"a": 1 }'],
    ["drops a first key with the comma behind it", '{ "a": 1 , "b": 2 }', ["a"], '{ "b": 2 }'],
    ["drops an only key", '{ "a": 1 }', ["a"], "{  }"],
    ["drops a key in the middle", '{"a":1,"b":2,"c":3}', ["b"], '{"a":1,"c":3}'],
    ["drops an element", '{"a":[1, 2, 3]}', ["a", 1], '{"a":[1, 3]}'],
    ["drops every duplicate", '{"a":1,"b":2,"\\u0061":3,"a":4}', ["a"], '{"b":2}'],
    ["drops one element of several that are equal", '{"a":[1,1,1]}', ["a", 0], '{"a":[1,1]}'],
    ["drops a null", '{"a":null}', ["a"], "{}"],
    ["does nothing without the key", '{"a":1}', ["b"], '{"a":1}'],
    ["does nothing without the parent", '{"a":1}', ["b", "c"], '{"a":1}'],
    ["does nothing below a scalar", '{"a":"x"}', ["a", "b"], '{"a":"x"}'],
    ["does nothing behind the end", '{"a":[1]}', ["a", 1], '{"a":[1]}'],
    ["does nothing with a key in an array", '{"a":[1]}', ["a", "0"], '{"a":[1]}'],
    ["does nothing with an index in an object", '{"0":1}', [0], '{"0":1}'],
    ["does nothing to the whole item", '{"a":1}', [], '{"a":1}'],
    ["does not find what objects inherit", "{}", ["constructor"], "{}"]
  ])("%s", (_, text, path, expected) => assert.strictEqual(patch(text, [remove(path)]), expected))
})

describe("copy", () => {
  holds("sets the very text of another value", { duplicates: true }, (document, choices) => {
    const from = choices.of(JsonText.places(document.root))
    const copied = patch(document.text, [copy(from.path, ["copied"])])
    assert.strictEqual(Json.slice(copied, ["copied"]), JsonText.print(from.value))
    assert.strictEqual(patch(copied, [remove(["copied"])]), patch(document.text, [remove(["copied"])]))
  })

  it.each<readonly [name: string, text: string, patches: ReadonlyArray<Patch>, expected: string]>([
    ["does nothing without a source", '{"a":1}', [copy(["b"], ["c"])], '{"a":1}'],
    ["makes the way", '{"a":1e400}', [copy(["a"], ["b", "c"])], '{"a":1e400,"b":{"c":1e400}}'],
    [
      "replaces an integer that only parsing makes equal",
      '{"a":9007199254740993,"b":9007199254740992}',
      [copy(["a"], ["b"])],
      '{"a":9007199254740993,"b":9007199254740993}'
    ],
    [
      "replaces a null by a number that parsing makes null",
      '{"a":1e400,"b":null}',
      [copy(["a"], ["b"])],
      '{"a":1e400,"b":1e400}'
    ],
    ["reads the item before any edit", '{"a":1}', [set(["a"], 2), copy(["a"], ["b"])], '{"a":2,"b":1}'],
    ["reads what an edit has removed", '{"a":1}', [remove(["a"]), copy(["a"], ["b"])], '{"b":1}'],
    ["copies a null", '{"a":null}', [copy(["a"], ["b"])], '{"a":null,"b":null}']
  ])("%s", (_, text, patches, expected) => assert.strictEqual(patch(text, patches), expected))
})

describe("patch", () => {
  holds("means what it means on parsed trees, in order", { duplicates: false }, ({ root, text }, choices) => {
    const patches = Array.from({ length: choices.below(5) }, () => patchOf(choices, root))
    assert.deepStrictEqual(
      outcome(() => parse(patch(text, patches))),
      outcome(() => modelPatch(text, patches)),
      JSON.stringify(patches)
    )
  })

  holds("leaves every value alone that it does not name", { duplicates: true }, ({ root, text }, choices) => {
    const edit = patchOf(choices, root)
    const patched = outcome(() => patch(text, [edit]))
    if (patched === "TypeError") return
    const leadsTo = (path: Path, other: Path) => path.every((step, index) => other[index] === step)
    for (const { path, value } of JsonText.places(root)) {
      // An index behind a removed element names another one.
      const isMoved = edit.op === "remove" && leadsTo(edit.path.slice(0, -1), path)
      if (leadsTo(path, edit.path) || leadsTo(edit.path, path) || isMoved) continue
      assert.strictEqual(Json.slice(patched, path), JsonText.print(value))
    }
  })

  holds("changes nothing the second time", { duplicates: true }, ({ root, text }, choices) => {
    const path = JsonText.pathOf(choices, root)
    // An element's removal moves the next one to its place.
    const edits = [set(path, JsonText.valueOf(choices)), ...(typeof path.at(-1) === "number" ? [] : [remove(path)])]
    for (const edit of edits) {
      const once = outcome(() => patch(text, [edit]))
      if (once !== "TypeError") assert.strictEqual(patch(once, [edit]), once)
    }
  })

  it("without patches is the text", () => assert.strictEqual(patch(" {} ", []), " {} "))

  it("reads strings with any number of escapes before a quote", () => {
    for (let count = 0; count < 9; count++) {
      const string = JSON.stringify("\\".repeat(count) + '"}'.repeat(count))
      assert.strictEqual(patch(`{"a":${string},"b":1}`, [set(["b"], 2)]), `{"a":${string},"b":2}`)
    }
  })

  it("edits text of any depth", () => {
    const deep = `${'{"a":['.repeat(2000)}${"]}".repeat(2000)}`
    assert.strictEqual(patch(`{"x":${deep},"y":1}`, [remove(["x"]), set(["y"], 2)]), '{"y":2}')
  })
})
