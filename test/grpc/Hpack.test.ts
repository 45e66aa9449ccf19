import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Hpack from "../../src/grpc/Hpack.ts"
import * as Listeners from "../../src/grpc/Listener.ts"
import { number } from "./Frames.ts"

const block = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ""), "hex")

const decodeAll = (blocks: ReadonlyArray<Uint8Array>) => {
  const decode = Hpack.makeDecoder()
  return blocks.map((each) => decode(each))
}

const requests: ReadonlyArray<ReadonlyArray<Hpack.Header>> = [
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"]
  ],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"]
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"]
  ]
]

const responses: ReadonlyArray<ReadonlyArray<Hpack.Header>> = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"]
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"]
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"]
  ]
]

/** RFC 7541, C.5 and C.6 are for a table of 256 bytes. */
const tableOf256 = "3fe101"

describe("the examples of RFC 7541, appendix C", () => {
  it.each<readonly [string, string, Hpack.Header]>([
    ["C.2.1", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ["custom-key", "custom-header"]],
    ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"]],
    ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"]],
    ["C.2.4", "82", [":method", "GET"]]
  ])("%s", (_, hex, header) => assert.deepStrictEqual(decodeAll([block(hex)]), [[header]]))

  it.each<readonly [string, typeof requests, ReadonlyArray<string>]>([
    [
      "C.3",
      requests,
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65"
      ]
    ],
    [
      "C.4",
      requests,
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"
      ]
    ],
    [
      "C.5",
      responses,
      [
        `${tableOf256} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133
         3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        "4803 3330 37c1 c0bf",
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31`
      ]
    ],
    [
      "C.6",
      responses,
      [
        `${tableOf256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
         29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
        "4883 640e ffc1 c0bf",
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`
      ]
    ]
  ])("%s", (_, expected, blocks) => assert.deepStrictEqual(decodeAll(blocks.map(block)), expected))
})

describe("makeDecoder", () => {
  it("knows the whole static table", () => {
    const all = decodeAll([Uint8Array.from({ length: 61 }, (_, index) => 0x80 | (index + 1))]).flat()
    const text = all.map(([name, value]) => `${name}: ${value}\n`).join("")
    // Of what golang.org/x/net/http2/hpack decodes.
    assert.strictEqual(
      createHash("sha256").update(text).digest("hex"),
      "e068ed84a5a3d28824dc910d55e700af8236a5744b77f384fb67b7f06b72fbb3"
    )
  })

  it("knows the Huffman code of every byte", () => {
    // Bytes 0 to 255, encoded by golang.org/x/net/http2/hpack.
    const coded = block(
      `ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffffdfffffebfffffecfff
       ffedfffffeefffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffdbfffffdffffffe3fffffe7fffffebfffffed
       4fe3f9ffaffcabf1febfafefe7fdfd2cbb00089969b71d79fb9f7fff20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9c
       ff7ff7fffc3ff9ffe45fff4719242cb34e6e9d68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ff
       ff53fffd5ffffb3fffeb7fffdaffffb7ffff73fffeeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1fff
       fe4fffee7fffb1ffff97fffd9ffffcdffff9fffffbffffdafffeeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5fffeeffffbdffffe1f
       ffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffedffff87ffff77fffeffffeaffff8bfffe3ffff93ffff87fffcbffff37ffff1f
       ffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffffc7fffff27ffffdefffffbffffff2fffff8fffffb7fff97fff8ffff
       fe6fffffc1fffff87ffffe7fffffc5ffffe5fffe4ffff2fffffd1fffff4ffffffefffffe3fffffc9fffff97fffb3ffffcffffb7fffcdff
       ff4ffff9ffffd1ffffcffffeaffffafffffddffffeffffff4fffff5fffffabffffa7ffffd7fffff9bffffecfffffb7fffff3fffffe8fff
       ffd3fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf`
    )
    // A literal whose value is Huffman coded, of 583 bytes.
    const [headers = []] = decodeAll([Buffer.concat([block("00 0161 ffc803"), coded])])
    assert.deepStrictEqual([...Buffer.from(headers[0]?.[1] ?? "", "latin1")], [...Array(256).keys()])
  })

  it("forgets what a smaller table has no room for, oldest first", () => {
    // Three entries of 34 bytes, the newest of them is 62.
    const filled = block("400161 0131 400162 0132 400163 0133")
    const after = (hex: string) => decodeAll([filled, block(hex)])[1]
    assert.deepStrictEqual(after("be bf c0"), [
      ["c", "3"],
      ["b", "2"],
      ["a", "1"]
    ])
    // 68 bytes: exactly two.
    assert.deepStrictEqual(after("3f25 be bf"), [
      ["c", "3"],
      ["b", "2"]
    ])
    assert.throws(() => after("3f25 c0"), Hpack.CompressionError, "there is no header 64")
    assert.throws(() => after("3f24 bf"), Hpack.CompressionError, "there is no header 63")
    assert.throws(() => after("20 be"), Hpack.CompressionError, "there is no header 62")
    // What was forgotten stays so.
    assert.throws(() => after("20 3fe11f be"), Hpack.CompressionError, "there is no header 62")
    assert.deepStrictEqual(after("20 3fe11f 400164 0134 be"), [
      ["d", "4"],
      ["d", "4"]
    ])
  })

  it("empties the table for an entry that is larger than all of it", () => {
    const large = "x".repeat(4096)
    const literal = Buffer.concat([block("400161 7f811f"), Buffer.from(large)])
    assert.deepStrictEqual(decodeAll([block("400162 0132"), literal])[1], [["a", large]])
    assert.throws(() => decodeAll([block("400162 0132"), literal, block("be")]), Hpack.CompressionError)
  })

  it.each([
    ["no index", "80", "there is no header 0"],
    ["an index behind the tables", "be", "there is no header 62"],
    ["a name behind the tables", "7e 0161", "there is no header 62"],
    ["a name that ends early", "40 0361 62", "a header block ends early"],
    ["a value that is missing", "40 0161", "a header block ends early"],
    ["a Huffman value that ends early", "40 0161 82ff", "a header block ends early"],
    ["an integer that ends early", "ff 80", "a header block ends early"],
    ["an integer that is too large", "ff 80808080 00", "an integer is too large"],
    ["a length that is too large", "00 7fffffffff 0f", "an integer is too large"],
    ["a table larger than was agreed", "3fe21f", "the table is larger than was agreed"],
    // "1" is 00001.
    ["padding of zeros", "00 0161 8108", "a Huffman string is padded wrongly"],
    ["padding of a whole byte", "00 0161 820fff", "a Huffman string is padded wrongly"],
    ["the end inside of a string", "00 0161 84ffffffff", "a Huffman string holds its end"]
  ])("refuses %s", (_, hex, problem) => {
    assert.throws(() => decodeAll([block(hex)]), Hpack.CompressionError, problem)
  })

  it("reads integers of up to 28 bits behind their head, and a table of exactly 4096 bytes", () => {
    assert.throws(() => decodeAll([block("ff ffffff7f")]), Hpack.CompressionError, "there is no header 268435582")
    assert.deepStrictEqual(decodeAll([block("3fe11f 82")]), [[[":method", "GET"]]])
    // Heads that are just too small, and just large enough, to go on.
    assert.deepStrictEqual(decodeAll([block("0f 00 0131")]), [[["accept-charset", "1"]]])
    assert.deepStrictEqual(decodeAll([block("0e 0131")]), [[[":status", "1"]]])
  })

  it("reads padding of seven bits, and of none", () => {
    // "0" is 00000, "X" is 11111100, "&" is 11111000, ":" is 1011100.
    assert.deepStrictEqual(decodeAll([block("00 0161 8107")]), [[["a", "0"]]])
    assert.deepStrictEqual(decodeAll([block("00 0161 81fc")]), [[["a", "X"]]])
    assert.deepStrictEqual(decodeAll([block("00 0161 81b9")]), [[["a", ":"]]])
    assert.deepStrictEqual(decodeAll([block("00 0161 80")]), [[["a", ""]]])
  })
})

const latin1 = Arbitrary.map(Arbitrary.array(number(0, 255)), (bytes) => Buffer.from(bytes).toString("latin1"))
const known = Arbitrary.map(number(1, 61), (index) => decodeAll([Uint8Array.of(0x80 | index)])[0]![0]!)
const anyHeader = Arbitrary.flatMap(number(0, 3), (which) =>
  which === 0
    ? known
    : Arbitrary.map(
        Arbitrary.all({ name: latin1, value: latin1, known, times: number(0, 200) }),
        (each): Hpack.Header => [which === 1 ? each.known[0] : each.name, each.value.repeat(each.times)]
      )
)

describe("encode", () => {
  it.prop(
    "is read back as it was, whatever names and values",
    { headers: Arbitrary.array(anyHeader) },
    ({ headers }) => assert.deepStrictEqual(decodeAll([Hpack.encode(headers)]), [headers]),
    { arbitrary: { runs: 300, seed: "hpack" } }
  )

  it("is read back whatever the length, also where it takes another byte", () => {
    const headers = [...Array(600).keys(), 16_510, 16_511, 16_512].map((length) => ["n", "v".repeat(length)] as const)
    assert.deepStrictEqual(decodeAll([Hpack.encode(headers)]), [headers])
  })

  it("changes no table", () => {
    const decode = Hpack.makeDecoder()
    decode(Hpack.encode([["name", "value"]]))
    assert.throws(() => decode(block("be")), "there is no header 62")
  })

  it("takes whole fields and names from the static table", () => {
    const headers: ReadonlyArray<Hpack.Header> = [
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["www-authenticate", ""]
    ]
    assert.strictEqual(
      Buffer.from(Hpack.encode(headers)).toString("hex"),
      `88 0f10 10${Buffer.from("application/grpc").toString("hex")} bd`.replaceAll(" ", "")
    )
  })
})

// Bun's encoder has a table, and codes strings by Huffman.
describe("what node:http2's client sends", () => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "hpack-"))
  const received: Array<ReadonlyArray<Hpack.Header>> = []
  let listener: Listeners.Listener
  let session: Http2.ClientHttp2Session

  beforeAll(async () => {
    const path = Path.join(directory, "socket")
    listener = await Listeners.listen(path, undefined, (stream) => {
      received.push(stream.headers)
      stream.sendHeaders(Hpack.encode([[":status", "200"]]), true)
      return { data: () => {}, end: () => {}, cancel: () => {} }
    })
    session = Http2.connect("http://localhost", { createConnection: () => Net.connect(path) })
  })
  afterAll(() => {
    session.destroy()
    listener.abort()
    Fs.rmSync(directory, { recursive: true })
  })

  const request = (headers: Http2.OutgoingHttpHeaders) =>
    Effect.callback<void>((resume) => {
      const stream = session.request({ ":path": "/", ...headers })
      stream.on("close", () => resume(Effect.void)).on("error", (error) => resume(Effect.die(error)))
      stream.resume()
      stream.end()
    })

  const textOf = (characters: string) =>
    Arbitrary.map(Arbitrary.array(number(0, characters.length - 1)), (all) =>
      all.map((index) => characters[index]).join("")
    )
  const printable = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index)).join("")
  const oneOrMore = (text: string) => `x${text}`
  const field = Arbitrary.all({
    // Few names and values come again and again; others push them out of the table.
    name: Arbitrary.flatMap(number(0, 2), (which) =>
      which === 0
        ? Arbitrary.map(textOf("abcdefghijklmnopqrstuvwxyz0123456789-"), oneOrMore)
        : Arbitrary.map(number(0, 9), (index) => `x-${index}`)
    ),
    value: Arbitrary.flatMap(number(0, 2), (which) =>
      which === 0
        ? Arbitrary.map(Arbitrary.all({ text: textOf(printable), times: number(1, 40) }), ({ text, times }) =>
            text.repeat(times)
          )
        : Arbitrary.map(number(0, 9), (index) => `value ${index}`)
    )
  })

  it.effect.prop(
    "arrives as it was, over many requests on one connection",
    { fields: Arbitrary.array(field) },
    ({ fields }) =>
      Effect.gen(function* () {
        const sent = Object.fromEntries(fields.map(({ name, value }) => [name, value]))
        received.length = 0
        yield* request(sent)
        const [headers = []] = received
        assert.deepStrictEqual(Object.fromEntries(headers.filter(([name]) => name in sent)), sent)
        assert.deepStrictEqual(
          headers
            .filter(([name]) => name.startsWith(":"))
            .map(([name]) => name)
            .toSorted(),
          [":authority", ":method", ":path", ":scheme"]
        )
      }),
    { arbitrary: { runs: 300, seed: "hpack" } }
  )
})
