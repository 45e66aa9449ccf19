import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FileServer from "../../src/filesystem/FileServer.ts"
import * as SignedUrl from "../../src/filesystem/SignedUrl.ts"
import type { SigningKeys } from "../../src/filesystem/SigningKeys.ts"
import { NoSigningKey, type Source } from "../../src/filesystem/SigningKeys.ts"
import * as World from "./World.ts"

const { bucket } = World
const [first, second, third] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array
]

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

interface Asked {
  readonly method?: string
  readonly headers?: Http.OutgoingHttpHeaders
}

const request = (port: number, path: string, { headers = {}, method = "GET" }: Asked = {}) =>
  Effect.callback<Answer>((resume) => {
    const asked = Http.request({ port, host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () =>
        resume(
          Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) })
        )
      )
    })
    asked.on("error", (error) => resume(Effect.die(error)))
    asked.end()
  })

/** A server on a store with two objects. */
const served = Effect.gen(function* () {
  const { objects, root } = yield* World.world
  yield* objects.put(bucket, "backups/b1/b1-logs.gz", World.body("0123456789"))
  yield* objects.put(bucket, "empty", Stream.empty)
  const keys = { accepted: [first, second] as const, reads: 0, isBroken: false }
  const read: Source["read"] = Effect.suspend(() => {
    keys.reads++
    return keys.isBroken
      ? Effect.fail(new NoSigningKey({ where: "here", detail: "broken" }))
      : Effect.succeedSome<SigningKeys>(Redacted.make(keys.accepted))
  })
  const source: Source = { where: "here", read, readOrMake: Effect.die("no"), rotate: Effect.die("no") }
  const log: Array<string> = []
  const logger = Logger.make<unknown, void>(({ message }) => void log.push(String(message)))
  const { port } = yield* FileServer.serve({ root, keys: source, port: 0, host: "127.0.0.1" }).pipe(
    Effect.provide(Layer.mergeAll(Logger.layer([logger])))
  )
  const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const grantOf = (key: string, change: Partial<SignedUrl.Grant> = {}): SignedUrl.Grant => ({
    method: "GET",
    bucket,
    key,
    expires: now + 600,
    ...change
  })
  const signed = (key: string, signingKey = first, change: Partial<SignedUrl.Grant> = {}) => {
    const grant = grantOf(key, change)
    return SignedUrl.url("", grant, SignedUrl.sign(signingKey, grant))
  }
  return {
    root,
    objects,
    keys,
    log,
    port,
    now,
    grantOf,
    signed,
    ask: (path: string, asked?: Asked) => request(port, path, asked),
    get: (key: string, headers: Http.OutgoingHttpHeaders = {}) => request(port, signed(key), { headers })
  }
})

const logs = "backups/b1/b1-logs.gz"

describe("whoever has a signed URL", () => {
  it.effect("gets the object, and what a client may want to know of it", () =>
    Effect.gen(function* () {
      const { get } = yield* served
      const { body, headers, status } = yield* get(logs)
      assert.deepStrictEqual([status, body.toString()], [200, "0123456789"])
      assert.strictEqual(headers["content-length"], "10")
      assert.strictEqual(headers["content-type"], "application/octet-stream")
      assert.strictEqual(headers["accept-ranges"], "bytes")
      assert.strictEqual(headers["cache-control"], "private, no-store")
      assert.match(headers.etag ?? "", /^"[^"]+"$/)
      // Velero unpacks what it knows to be packed: HTTP must not do it before.
      assert.isUndefined(headers["content-encoding"])
    })
  )

  it.effect("gets an empty object", () =>
    Effect.gen(function* () {
      const { get } = yield* served
      const { body, headers, status } = yield* get("empty")
      assert.deepStrictEqual([status, body.length, headers["content-length"]], [200, 0, "0"])
      assert.strictEqual((yield* get("empty", { range: "bytes=0-" })).status, 416)
    })
  )

  it.effect("may ask with HEAD, and gets no body", () =>
    Effect.gen(function* () {
      const { ask, signed } = yield* served
      const { body, headers, status } = yield* ask(signed(logs), { method: "HEAD" })
      assert.deepStrictEqual([status, body.length, headers["content-length"]], [200, 0, "10"])
      const part = yield* ask(signed(logs), { method: "HEAD", headers: { range: "bytes=1-2" } })
      assert.deepStrictEqual([part.status, part.headers["content-range"]], [206, "bytes 1-2/10"])
    })
  )

  it.effect.each([
    ["bytes=0-3", "0123", "bytes 0-3/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=-2", "89", "bytes 8-9/10"],
    ["bytes=5-99", "56789", "bytes 5-9/10"]
  ])("gets a part of it for %s", ([range = "", text = "", contentRange = ""]) =>
    Effect.gen(function* () {
      const { get } = yield* served
      const { body, headers, status } = yield* get(logs, { range })
      assert.deepStrictEqual([status, body.toString()], [206, text])
      assert.strictEqual(headers["content-range"], contentRange)
      assert.strictEqual(headers["content-length"], String(text.length))
    })
  )

  it.effect("is told that a part is not there", () =>
    Effect.gen(function* () {
      const { get } = yield* served
      const { headers, status } = yield* get(logs, { range: "bytes=10-" })
      assert.deepStrictEqual([status, headers["content-range"]], [416, "bytes */10"])
    })
  )

  it.effect("can take a broken download up again, if the object is still the same", () =>
    Effect.gen(function* () {
      const { get, objects } = yield* served
      const tag = (yield* get(logs)).headers.etag ?? ""
      const same = yield* get(logs, { range: "bytes=5-", "if-range": tag })
      assert.deepStrictEqual([same.status, same.body.toString()], [206, "56789"])
      yield* objects.put(bucket, logs, World.body("abcdefghij"))
      const other = yield* get(logs, { range: "bytes=5-", "if-range": tag })
      assert.deepStrictEqual([other.status, other.body.toString()], [200, "abcdefghij"])
    })
  )

  it.live.prop(
    "gets any object, whatever its key",
    { key: World.key },
    ({ key }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { get, objects } = yield* served
          yield* objects.put(bucket, key, World.body(key))
          assert.strictEqual((yield* get(key)).body.toString(), key)
        })
      ),
    { arbitrary: { runs: 40 } }
  )

  it.effect("is told that there is no such object any more", () =>
    Effect.gen(function* () {
      const { ask, get, grantOf, objects } = yield* served
      yield* objects.remove(bucket, logs)
      assert.strictEqual((yield* get(logs)).status, 404)
      const grant = grantOf("k", { bucket: "other" })
      assert.strictEqual((yield* ask(SignedUrl.url("", grant, SignedUrl.sign(first, grant)))).status, 404)
    })
  )
})

describe("whoever has none", () => {
  it.effect.each<readonly [string, (at: { readonly now: number }) => Partial<SignedUrl.Grant>]>([
    ["another object's", () => ({ key: "backups/b1/b1.tar.gz" })],
    ["another bucket's", () => ({ bucket: "other" })],
    ["another expiry's", ({ now }) => ({ expires: now + 601 })]
  ])("is refused with %s signature", ([, change]) =>
    Effect.gen(function* () {
      const { ask, grantOf, now } = yield* served
      const forged = SignedUrl.url("", grantOf(logs), SignedUrl.sign(first, grantOf(logs, change({ now }))))
      const { body, status } = yield* ask(forged)
      assert.deepStrictEqual([status, body.toString()], [403, "forbidden\n"])
    })
  )

  it.effect("is refused with a key that was never one, and is not told whether there is an object", () =>
    Effect.gen(function* () {
      const { ask, signed } = yield* served
      const there = yield* ask(signed(logs, third))
      const notThere = yield* ask(signed("no/such/object", third))
      assert.deepStrictEqual([there.status, notThere.status], [403, 403])
      assert.isTrue(there.body.equals(notThere.body))
      const { date: _, ...headers } = there.headers
      const { date: __, ...others } = notThere.headers
      assert.deepStrictEqual(headers, others)
    })
  )

  it.effect("is refused when the URL has expired, to the second", () =>
    Effect.gen(function* () {
      const { get } = yield* served
      yield* TestClock.adjust("599 seconds")
      const { ask, signed } = yield* served
      assert.strictEqual((yield* get(logs)).status, 200)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* get(logs)).status, 403)
      assert.strictEqual((yield* ask(signed(logs, first, { expires: 0 }))).status, 403)
    })
  )

  it.effect.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("may not %s, with or without a signature", (method) =>
    Effect.gen(function* () {
      const { ask, signed } = yield* served
      for (const path of ["/", FileServer.healthPath, signed(logs)]) {
        const { headers, status } = yield* ask(path, { method })
        assert.deepStrictEqual([status, headers.allow], [405, "GET, HEAD"])
      }
    })
  )

  it.effect.each([
    "/",
    "/velero",
    "/velero/",
    `/velero/${logs}`,
    "/velero/backups/?list-type=2",
    "/favicon.ico",
    "/../../etc/passwd",
    "/velero/../../etc/passwd",
    "/velero/%2e%2e/%2e%2e/etc/passwd",
    "/.velero-filesystem/signing-key",
    "/healthz/",
    "/healthz?x"
  ])("finds nothing at %s", (path) =>
    Effect.gen(function* () {
      const { ask } = yield* served
      const { body, status } = yield* ask(path)
      assert.deepStrictEqual([status, body.toString()], [404, "not found\n"])
    })
  )

  it.effect("learns that the server lives", () =>
    Effect.gen(function* () {
      const { ask, keys } = yield* served
      keys.isBroken = true
      const { body, status } = yield* ask(FileServer.healthPath)
      assert.deepStrictEqual([status, body.toString()], [200, "ok\n"])
      assert.strictEqual((yield* ask(FileServer.healthPath, { method: "HEAD" })).status, 200)
    })
  )

  it.effect("learns nothing of what is wrong", () =>
    Effect.gen(function* () {
      const { ask, keys, log, root, signed } = yield* served
      Fs.symlinkSync("/etc/passwd", Path.join(root, bucket, "link"))
      const { body, status } = yield* ask(signed("link"))
      assert.deepStrictEqual([status, body.toString()], [500, "internal error\n"])
      assert.include(log.join("\n"), "symbolic link")
      Fs.rmSync(root, { recursive: true })
      assert.strictEqual((yield* ask(signed(logs))).status, 500)
      keys.isBroken = true
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* ask(signed(logs))).status, 403)
      assert.include(log.join("\n"), "no URL is accepted")
    })
  )
})

describe("keys", () => {
  it.effect("overlap: what the one before has signed is accepted", () =>
    Effect.gen(function* () {
      const { ask, signed } = yield* served
      assert.strictEqual((yield* ask(signed(logs, second))).status, 200)
    })
  )

  it.effect("that are new are noticed by their first URL, and old ones are forgotten", () =>
    Effect.gen(function* () {
      const { ask, keys, signed } = yield* served
      assert.strictEqual((yield* ask(signed(logs, first))).status, 200)
      keys.accepted = [third, first]
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* ask(signed(logs, third))).status, 200)
      assert.strictEqual((yield* ask(signed(logs, first))).status, 200)
      assert.strictEqual((yield* ask(signed(logs, second))).status, 403)
    })
  )

  it.effect("are not read for every request of a stranger", () =>
    Effect.gen(function* () {
      const { ask, keys, signed } = yield* served
      for (let index = 0; index < 20; index++) yield* ask(signed(logs, third))
      assert.isAtMost(keys.reads, 2)
    })
  )

  it.effect("that nobody has made yet accept nothing", () =>
    Effect.gen(function* () {
      const { root } = yield* World.world
      const none: Source = {
        where: "here",
        read: Effect.succeedNone,
        readOrMake: Effect.die("no"),
        rotate: Effect.die("no")
      }
      const { port } = yield* FileServer.serve({ root, keys: none, port: 0, host: "127.0.0.1" })
      const grant: SignedUrl.Grant = { method: "GET", bucket, key: "k", expires: 600 }
      const url = SignedUrl.url("", grant, SignedUrl.sign(new Uint8Array(), grant))
      assert.strictEqual((yield* request(port, url)).status, 403)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})

describe("the log", () => {
  it.effect("has a line for each request, and no signature in it", () =>
    Effect.gen(function* () {
      const { ask, get, log, signed } = yield* served
      yield* get(logs)
      yield* ask(signed(logs, third))
      yield* ask(FileServer.healthPath)
      const lines = log.filter((line) => line.startsWith("GET"))
      assert.strictEqual(lines.length, 2)
      assert.match(lines[0] ?? "", /^GET \/velero\/backups\/b1\/b1-logs\.gz 200, 10 bytes in \d+ ms$/)
      assert.notInclude(log.join("\n"), "signature=")
    })
  )
})

describe("clients that take their time", () => {
  const size = 64 * 1024 * 1024

  /** A large object, and a client's socket that has read its beginning. */
  const begun = Effect.gen(function* () {
    const world = yield* served
    const path = Path.join(world.root, bucket, "large")
    Fs.writeFileSync(path, "")
    Fs.truncateSync(path, size)
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(world.port, "127.0.0.1")),
      (open) => Effect.sync(() => open.destroy())
    )
    socket.on("error", () => {})
    socket.write(`GET ${world.signed("large")} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    yield* Effect.callback<void>((resume) => {
      socket.once("data", () => {
        socket.pause()
        resume(Effect.void)
      })
    })
    const isOpen = () =>
      Fs.readdirSync("/proc/self/fd").some((fd) => {
        try {
          return Fs.readlinkSync(`/proc/self/fd/${fd}`) === path
        } catch {
          return false
        }
      })
    /** Whatever can happen by itself has happened. */
    const settle = Effect.forEach(Array.from({ length: 50 }), () => world.ask(FileServer.healthPath), { discard: true })
    return { ...world, socket, isOpen, settle }
  })

  it.live("do not fill the memory", () =>
    Effect.gen(function* () {
      const { isOpen, settle, socket } = yield* begun
      yield* settle
      const before = process.memoryUsage().rss
      yield* settle
      assert.isTrue(isOpen())
      // Had the server read on, all of it would be here by now.
      assert.isBelow(process.memoryUsage().rss - before, size / 4)
      let read = 0
      yield* Effect.callback<void>((resume) => {
        socket.on("data", (part) => (read += part.length))
        socket.on("end", () => resume(Effect.void))
        socket.resume()
      })
      assert.isAbove(read, size * 0.95)
    })
  )

  it.live("or go away do not leave the object open, nor the server dead", () =>
    Effect.gen(function* () {
      const { get, isOpen, settle, socket } = yield* begun
      yield* settle
      assert.isTrue(isOpen())
      socket.destroy()
      yield* settle
      assert.isFalse(isOpen())
      assert.strictEqual((yield* get(logs)).status, 200)
    })
  )

  it.live("do not keep the server from ending", () =>
    Effect.gen(function* () {
      const { isOpen, socket } = yield* Effect.scoped(begun)
      assert.isFalse(isOpen())
      assert.isTrue(socket.destroyed)
    })
  )
})

describe("a port", () => {
  it.live("that is taken is an error with a way out", () =>
    Effect.gen(function* () {
      const { port, root } = yield* served
      const keys: Source = {
        where: "here",
        read: Effect.succeedNone,
        readOrMake: Effect.die("no"),
        rotate: Effect.die("no")
      }
      const error = yield* Effect.flip(FileServer.serve({ root, keys, port, host: "127.0.0.1" }))
      assert.strictEqual(error._tag, "NotListening")
      assert.include(error.message, "--port")
    })
  )
})
