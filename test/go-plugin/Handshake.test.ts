import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Announcement, Environment } from "../../src/go-plugin/Handshake.ts"
import * as Handshake from "../../src/go-plugin/Handshake.ts"

const config: Handshake.HandshakeConfig = {
  cookieKey: "TEST_PLUGIN",
  cookieValue: "hello",
  protocolVersions: [2, 3, 5]
}

describe("isStartedByHost", () => {
  it.each<readonly [env: Environment, expected: boolean]>([
    [{ TEST_PLUGIN: "hello" }, true],
    [{ TEST_PLUGIN: "Hello" }, false],
    [{ TEST_PLUGIN: "" }, false],
    [{ TEST_PLUGIN: undefined }, false],
    [{ VELERO_PLUGIN: "hello" }, false],
    [{}, false]
  ])("of %j is %s", (env, expected) => assert.strictEqual(Handshake.isStartedByHost(env, config), expected))
})

describe("negotiateVersion", () => {
  it.each<readonly [offered: string | undefined, expected: number]>([
    ["2", 2],
    ["3", 3],
    ["2,3", 3],
    ["5,2", 5],
    ["3, 5", 5],
    ["1,3,4", 3],
    ["1,4", 2],
    ["9", 2],
    ["", 2],
    [undefined, 2],
    ["x", 2],
    [",,3,", 3]
  ])("of an offer of %j is %i", (offered, expected) =>
    assert.strictEqual(Handshake.negotiateVersion(offered, config), expected)
  )

  it.effect.prop(
    "is the highest that both sides have, else the lowest",
    { offer: Schema.Array(Schema.Int) },
    ({ offer }) =>
      Effect.sync(() => {
        const common = config.protocolVersions.filter((version) => offer.includes(version))
        assert.strictEqual(Handshake.negotiateVersion(offer.join(","), config), Math.max(...common, 2))
      })
  )
})

describe("handshakeLine", () => {
  const announcement: Announcement = {
    protocolVersion: 2,
    network: "unix",
    address: "/tmp/plugin1",
    certificate: undefined,
    multiplex: undefined
  }

  it.each<readonly [change: Partial<Announcement>, line: string]>([
    [{}, "1|2|unix|/tmp/plugin1|grpc|\n"],
    [{ network: "tcp", address: "127.0.0.1:10000" }, "1|2|tcp|127.0.0.1:10000|grpc|\n"],
    [{ multiplex: false }, "1|2|unix|/tmp/plugin1|grpc||false\n"],
    [{ multiplex: true }, "1|2|unix|/tmp/plugin1|grpc||true\n"],
    // Go reads the certificate as standard base64 without padding.
    [{ certificate: Uint8Array.of(0xff, 0xef, 0xbe, 0xff) }, "1|2|unix|/tmp/plugin1|grpc|/+++/w\n"],
    [{ certificate: Uint8Array.of(1, 2), multiplex: false }, "1|2|unix|/tmp/plugin1|grpc|AQI|false\n"]
  ])("of %j", (change, line) => assert.strictEqual(Handshake.handshakeLine({ ...announcement, ...change }), line))
})

describe("notAPluginHost", () => {
  it("has go-plugin's words", () => {
    assert.match(
      Handshake.notAPluginHost,
      /^This binary is a plugin\. These are not meant to be executed directly\.\nPlease execute the program that consumes these plugins, which will\nload any plugins automatically\n$/
    )
  })
})
