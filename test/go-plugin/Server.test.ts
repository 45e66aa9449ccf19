import * as grpc from "@grpc/grpc-js"
import { assert, describe, it } from "@effect/vitest"
import { generate } from "selfsigned"
import { X509Certificate } from "node:crypto"
import * as Fs from "node:fs"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { GRPCBrokerDefinition } from "../../src/generated/go-plugin/broker.ts"
import { GRPCStdioDefinition } from "../../src/generated/go-plugin/stdio.ts"
import { HealthCheckResponse_ServingStatus as Serving, HealthDefinition } from "../../src/generated/grpc/health.ts"
import type { Environment } from "../../src/go-plugin/Handshake.ts"
import * as Log from "../../src/go-plugin/Log.ts"
import * as Rpc from "../../src/go-plugin/Rpc.ts"
import * as Server from "../../src/go-plugin/Server.ts"
import * as Status from "../../src/go-plugin/Status.ts"
import * as Host from "./Host.ts"

const bytes: Rpc.Codec<Uint8Array> = { encode: (message) => ({ finish: () => message }), decode: (message) => message }
const unary = <const Name extends string>(name: Name) => ({
  name,
  requestType: bytes,
  requestStream: false as const,
  responseType: bytes,
  responseStream: false as const
})
const Echo = { fullName: "test.Echo", methods: { echo: unary("Echo"), work: unary("Work") } } as const

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

type Work = (request: Uint8Array) => Effect.Effect<Uint8Array, Refused>

/** A plugin with an echo, and a method that does what the test says. */
const start = (work: Work = Effect.succeed, env: Environment = {}) =>
  Effect.gen(function* () {
    const log: Array<string> = []
    const layer = Log.layer({ write: (line) => log.push(line), level: "Info" })
    const runtime = ManagedRuntime.make(layer)
    yield* Effect.addFinalizer(() => runtime.disposeEffect)
    const running = yield* Host.start(env, (host) =>
      Server.serve(host, {
        handshake: { cookieKey: "TEST_PLUGIN", cookieValue: "hello", protocolVersions: [2, 3] },
        services: [
          Rpc.install(Rpc.service<typeof Echo, never>(Echo, { echo: Effect.succeed, work }), runtime, () => [])
        ],
        runtime,
        details: () => []
      })
    )
    return { ...running, log }
  })

/** The same, and a host that is connected to it. */
const startAndConnect = (work?: Work, env?: Environment) =>
  Effect.gen(function* () {
    const plugin = yield* start(work, env)
    return { ...plugin, client: yield* Host.connect(plugin.address) }
  })

const echo = (client: grpc.Client, text: string) =>
  Effect.map(Host.call(client, Echo, Echo.methods.echo, Buffer.from(text)), (answer) => Buffer.from(answer).toString())
const work = (client: grpc.Client, text = "") => Host.call(client, Echo, Echo.methods.work, Buffer.from(text))

const openStdio = (client: grpc.Client) =>
  Host.open(client, GRPCStdioDefinition, GRPCStdioDefinition.methods.streamStdio, {})
const openBroker = (client: grpc.Client) =>
  Host.open(client, GRPCBrokerDefinition, GRPCBrokerDefinition.methods.startStream, {
    serviceId: 0,
    network: "",
    address: "",
    knock: undefined
  })

describe("the handshake", () => {
  it.live("is one line, written when the socket takes calls", () =>
    Effect.gen(function* () {
      const { address, client, fields, wasListening, written } = yield* startAndConnect()
      assert.isTrue(wasListening)
      assert.strictEqual(yield* echo(client, "at once"), "at once")
      assert.strictEqual(written.length, 1)
      assert.deepStrictEqual(fields, ["1", "2", "unix", address, "grpc", ""])
    })
  )

  it.live.each<readonly [offered: string, announced: string]>([
    ["2", "2"],
    ["2,3", "3"],
    ["1,4", "2"]
  ])("answers the host's versions: %j", ([offered, announced]) =>
    Effect.gen(function* () {
      const { fields } = yield* start(undefined, { PLUGIN_PROTOCOL_VERSIONS: offered })
      assert.strictEqual(fields[1], announced)
    })
  )

  it.live.each(["true", "false"])("says that it does not multiplex when it is asked: %s", (asked) =>
    Effect.gen(function* () {
      const { client, fields } = yield* startAndConnect(undefined, { PLUGIN_MULTIPLEX_GRPC: asked })
      assert.deepStrictEqual(fields.slice(4), ["grpc", "", "false"])
      assert.strictEqual(yield* echo(client, "plain"), "plain")
    })
  )

  it.live("lies where the host wants it, for the group that it names", () =>
    Effect.gen(function* () {
      const directory = yield* Host.directory
      const group = process.getgid?.() ?? 0
      const { address } = yield* start(undefined, {
        PLUGIN_UNIX_SOCKET_DIR: directory,
        PLUGIN_UNIX_SOCKET_GROUP: String(group)
      })
      assert.isTrue(address.startsWith(`${directory}/plugin`))
      const { gid, mode } = Fs.statSync(address)
      assert.deepStrictEqual([gid, mode & 0o777], [group, 0o660])
    })
  )

  it.live.each<readonly [name: string, env: Environment]>([
    ["no directory can hold the socket", { PLUGIN_UNIX_SOCKET_DIR: "/nowhere" }],
    ["there is no such group", { PLUGIN_UNIX_SOCKET_GROUP: "no-such-group" }]
  ])("is not written where %s", ([, env]) =>
    Effect.gen(function* () {
      const directory = yield* Host.directory
      const error = yield* Effect.flip(start(undefined, { TMPDIR: directory, ...env }))
      assert.strictEqual(error._tag, "SocketError")
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    })
  )
})

describe("the standard services", () => {
  it.live.each<readonly [service: string, status: Serving]>([
    ["plugin", Serving.SERVING],
    ["", Serving.SERVING],
    ["other", Serving.SERVICE_UNKNOWN]
  ])("say of the health of %j: %i", ([service, status]) =>
    Effect.gen(function* () {
      const { client } = yield* startAndConnect()
      const answer = yield* Host.call(client, HealthDefinition, HealthDefinition.methods.check, { service })
      assert.strictEqual(answer.status, status)
    })
  )

  it.live("hold the host's streams open until its Shutdown, which is answered", () =>
    Effect.gen(function* () {
      const { address, client, end, written } = yield* startAndConnect()
      const streams = [yield* Effect.forkChild(openBroker(client)), yield* Effect.forkChild(openStdio(client))]
      for (const text of ["a", "b", "c"]) assert.strictEqual(yield* echo(client, text), text)
      assert.isTrue(streams.every((stream) => stream.pollUnsafe() === undefined))
      assert.deepStrictEqual(yield* Host.shutdown(client), {})
      // They end in order, without an error and without a message.
      for (const stream of streams) assert.strictEqual(yield* Fiber.join(stream), 0)
      yield* end
      assert.isFalse(Fs.existsSync(address))
      assert.strictEqual(written.length, 1)
    })
  )

  it.live("answer UNIMPLEMENTED for what nobody serves", () =>
    Effect.gen(function* () {
      const { client } = yield* startAndConnect()
      const error = yield* Effect.flip(
        Host.call(client, { fullName: "test.Other" }, Echo.methods.echo, Buffer.from(""))
      )
      assert.strictEqual(error.code, grpc.status.UNIMPLEMENTED)
    })
  )
})

describe("the end", () => {
  it.live("waits for calls that are under way", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const { client, end } = yield* startAndConnect((request) =>
        Deferred.succeed(started, undefined).pipe(Effect.andThen(Deferred.await(release)), Effect.as(request))
      )
      const answer = yield* Effect.forkChild(work(client, "in time"))
      yield* Deferred.await(started)
      yield* Host.shutdown(client)
      yield* Deferred.succeed(release, undefined)
      assert.strictEqual(Buffer.from(yield* Fiber.join(answer)).toString(), "in time")
      yield* end
    })
  )

  it.live("interrupts calls that do not end by themselves", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { address, client, end } = yield* startAndConnect(() =>
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const answer = yield* Effect.forkChild(Effect.flip(work(client)))
      yield* Deferred.await(started)
      yield* Host.shutdown(client)
      yield* end
      yield* Deferred.await(interrupted)
      assert.include([grpc.status.CANCELLED, grpc.status.UNAVAILABLE], (yield* Fiber.join(answer)).code)
      assert.isFalse(Fs.existsSync(address))
    })
  )

  it.live("comes with a signal too, whatever the host holds open", () =>
    Effect.gen(function* () {
      const { address, client, end, terminate } = yield* startAndConnect()
      const stream = yield* Effect.forkChild(openStdio(client))
      assert.strictEqual(yield* echo(client, "alive"), "alive")
      yield* terminate
      yield* end
      assert.isFalse(Fs.existsSync(address))
      assert.strictEqual(yield* Fiber.join(stream), 0)
    })
  )

  it.live("removes the socket where the plugin is interrupted", () =>
    Effect.gen(function* () {
      const address = yield* Effect.scoped(Effect.map(start(), (plugin) => plugin.address))
      assert.isFalse(Fs.existsSync(address))
    })
  )
})

describe("calls", () => {
  it.live("that fail are answered UNKNOWN, with the same status in their details", () =>
    Effect.gen(function* () {
      const { client, log } = yield* startAndConnect((request) =>
        Effect.fail(new Refused({ message: Buffer.from(request).toString() || "lone \ud83d" }))
      )
      for (const message of ["no such backup", "größe\n😀 100% \u0007", ""]) {
        const error = yield* Effect.flip(work(client, message))
        const details = message || "lone \ufffd"
        assert.deepStrictEqual([error.code, error.detail], [Status.code.unknown, details])
        assert.deepStrictEqual(Host.statusOf(error), { code: Status.code.unknown, message: details, details: [] })
      }
      // Velero logs what it is answered.
      assert.deepStrictEqual(log, [])
    })
  )

  it.live.each<readonly [name: string, work: Work]>([
    ["dies", () => Effect.die(new Error("a secret of the cluster"))],
    [
      "throws",
      () => {
        throw new Error("a secret of the cluster")
      }
    ]
  ])("of a handler that %s are answered ABORTED without the cause, which is logged; others go on", ([, handler]) =>
    Effect.gen(function* () {
      const { client, log } = yield* startAndConnect(handler)
      const [error, answer] = yield* Effect.all([Effect.flip(work(client)), echo(client, "fine")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([error.code, error.detail], [Status.code.aborted, Status.defectMessage])
      assert.strictEqual(Host.statusOf(error).code, Status.code.aborted)
      assert.strictEqual(answer, "fine")
      assert.strictEqual(yield* echo(client, "later"), "later")
      const line = JSON.parse(log.join("")) as Record<string, string>
      assert.strictEqual(line["@level"], "error")
      assert.strictEqual(line["@message"], "internal error in test.Echo/Work")
      assert.include(line["error"], "a secret of the cluster")
    })
  )

  it.live("that the host cancels are interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { client, log } = yield* startAndConnect(() =>
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const answer = yield* Effect.forkChild(work(client))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(answer)
      yield* Deferred.await(interrupted)
      assert.strictEqual(yield* echo(client, "next"), "next")
      assert.deepStrictEqual(log, [])
    })
  )

  it.live("carry 32 MB both ways", () =>
    Effect.gen(function* () {
      const { client } = yield* startAndConnect()
      const message = Buffer.alloc(32 * 1024 * 1024, "velero ")
      const answer = yield* Host.call(client, Echo, Echo.methods.echo, message)
      assert.strictEqual(Buffer.compare(answer, message), 0)
    })
  )

  it.live("run at the same time, 50 of them", () =>
    Effect.gen(function* () {
      const all = yield* Latch.make()
      let started = 0
      const { client } = yield* startAndConnect((request) =>
        Effect.suspend(() => (++started === 50 ? all.open : Effect.void)).pipe(
          Effect.andThen(all.await),
          Effect.as(request)
        )
      )
      const requests = Array.from({ length: 50 }, (_, index) => String(index))
      const answers = yield* Effect.forEach(requests, (text) => work(client, text), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map((answer) => Buffer.from(answer).toString()),
        requests
      )
    })
  )

  it.live("reach each of several plugins of one process", () =>
    Effect.gen(function* () {
      const plugins = [
        yield* startAndConnect(() => Effect.succeed(Buffer.from("1"))),
        yield* startAndConnect(() => Effect.succeed(Buffer.from("2")))
      ]
      const answers = yield* Effect.forEach(plugins, ({ client }) => work(client))
      assert.deepStrictEqual(answers.map(String), ["1", "2"])
    })
  )
})

describe("AutoMTLS", () => {
  const identity = Effect.promise(() =>
    generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" })
  )

  it.live("lets the host in and refuses strangers", () =>
    Effect.gen(function* () {
      const host = yield* identity
      const stranger = yield* identity
      const { address, fields } = yield* start(undefined, { PLUGIN_CLIENT_CERT: host.cert })
      assert.notInclude(fields[5], "=")
      const server = new X509Certificate(Buffer.from(fields[5] ?? "", "base64"))
      assert.isTrue(server.checkHost("localhost") !== undefined && server.ca)
      const root = Buffer.from(server.toString())
      const connect = (pems?: { readonly private: string; readonly cert: string }) =>
        Host.connect(
          address,
          grpc.credentials.createSsl(root, pems && Buffer.from(pems.private), pems && Buffer.from(pems.cert))
        )
      const unavailable = (client: grpc.Client) =>
        Effect.map(Effect.flip(echo(client, "hello")), (error) =>
          assert.strictEqual(error.code, grpc.status.UNAVAILABLE)
        )
      assert.strictEqual(yield* echo(yield* connect(host), "hello"), "hello")
      yield* unavailable(yield* connect(stranger))
      yield* unavailable(yield* connect())
      yield* unavailable(yield* Host.connect(address))
      assert.strictEqual(yield* echo(yield* connect(host), "again"), "again")
    })
  )

  it.live("that cannot be had ends the plugin before its handshake", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(start(undefined, { PLUGIN_CLIENT_CERT: "no PEM" }))
      assert.strictEqual(error._tag, "AutoMtlsError")
    })
  )
})
