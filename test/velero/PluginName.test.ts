import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as PluginName from "../../src/velero/PluginName.ts"

const accepted = "Accepted format: <DNS subdomain>/<non-empty name>"
const twoParts = (name: string) =>
  `plugin name must have exactly two parts separated by a \`/\`. ${accepted}. ${name} is invalid`
const nonEmpty = (name: string) => `both parts of the plugin name must be non-empty. ${accepted}. ${name} is invalid`
const noSubdomain = (prefix: string, problems: string) =>
  `first part of the plugin name must be a valid DNS subdomain. ${accepted}. first part "${prefix}" is invalid: ${problems}`
const rfc1123 = String.raw`a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`

/** `true`, or Velero's words. */
const judgement = (name: string, existing: ReadonlyArray<string> = []) =>
  Result.match(PluginName.validate(name, new Set(existing)), {
    onSuccess: (valid) => valid === name,
    onFailure: ({ message }) => message
  })

describe("validate", () => {
  it.each([
    "example.io/a",
    "velero.io/pod",
    "replicated.com/cnpg-backup-plugin",
    "velero-cnpg/cluster",
    "a/b",
    "1.2-3.x/Uppercase_Is_OK_123",
    "example.io/größe .~",
    `${"a".repeat(253)}/b`
  ])("accepts %s", (name) => assert.isTrue(judgement(name)))

  it.each<readonly [name: string, words: string]>([
    ["", twoParts("")],
    ["name", twoParts("name")],
    ["example.io/a/b", twoParts("example.io/a/b")],
    ["//", twoParts("//")],
    ["/", nonEmpty("/")],
    ["/a", nonEmpty("/a")],
    ["example.io/", nonEmpty("example.io/")],
    ["Example.io/a", noSubdomain("Example.io", rfc1123)],
    ["exa mple/a", noSubdomain("exa mple", rfc1123)],
    ["-a.io/a", noSubdomain("-a.io", rfc1123)],
    ["a-.io/a", noSubdomain("a-.io", rfc1123)],
    [".a/a", noSubdomain(".a", rfc1123)],
    ["a./a", noSubdomain("a.", rfc1123)],
    ["a..b/a", noSubdomain("a..b", rfc1123)],
    ["a_b/a", noSubdomain("a_b", rfc1123)],
    ["größe/a", noSubdomain("größe", rfc1123)],
    ["a\n/a", noSubdomain(String.raw`a\n`, rfc1123)],
    [`${"a".repeat(254)}/b`, noSubdomain("a".repeat(254), "must be no more than 253 characters")],
    [`${"A".repeat(254)}/b`, noSubdomain("A".repeat(254), `must be no more than 253 characters; ${rfc1123}`)]
  ])("refuses %j in Velero's words", (name, words) => assert.strictEqual(judgement(name), words))

  it("refuses a name that exists already", () => {
    assert.strictEqual(judgement("a/b", ["x/y", "a/b"]), "plugin name a/b already exists")
    assert.isTrue(judgement("a/b", ["a/B", "a/bc"]))
  })
})
