import { assert, describe, it } from "@effect/vitest"
import { HealthCheckRequest, HealthCheckResponse, HealthDefinition } from "../../src/generated/grpc/health.ts"
import { GRPCBrokerDefinition } from "../../src/generated/go-plugin/broker.ts"
import { GRPCStdioDefinition } from "../../src/generated/go-plugin/stdio.ts"
import * as Rpc from "../../src/go-plugin/Rpc.ts"

// What calls do is in Server.test.ts, over a socket.
describe("grpcMethod", () => {
  it("turns messages into bytes and back", () => {
    const method = Rpc.grpcMethod(HealthDefinition.fullName, HealthDefinition.methods.check)
    assert.strictEqual(method.path, "/grpc.health.v1.Health/Check")
    const request = { service: "größe" }
    const bytes = method.requestSerialize(request)
    assert.isTrue(Buffer.isBuffer(bytes))
    assert.deepStrictEqual(Uint8Array.from(bytes), HealthCheckRequest.encode(request).finish())
    assert.deepStrictEqual(method.requestDeserialize(bytes), request)
    const answer = method.responseSerialize({ status: 1 })
    assert.deepStrictEqual(Uint8Array.from(answer), HealthCheckResponse.encode({ status: 1 }).finish())
    assert.deepStrictEqual(method.responseDeserialize(answer), { status: 1 })
  })

  it("serializes just the message, not the memory around it", () => {
    const codec: Rpc.Codec<Uint8Array> = { encode: (bytes) => ({ finish: () => bytes }), decode: (bytes) => bytes }
    const method = { name: "M", requestType: codec, requestStream: false, responseType: codec, responseStream: false }
    const part = Uint8Array.from([1, 2, 3, 4]).subarray(1, 3)
    assert.deepStrictEqual([...Rpc.grpcMethod("S", method).requestSerialize(part)], [2, 3])
  })

  it.each([
    ["both ways", GRPCBrokerDefinition.fullName, GRPCBrokerDefinition.methods.startStream, [true, true]],
    ["one way", GRPCStdioDefinition.fullName, GRPCStdioDefinition.methods.streamStdio, [false, true]],
    ["not at all", HealthDefinition.fullName, HealthDefinition.methods.check, [false, false]]
  ] as const)("says that a method streams %s", (_, name, method, streams) => {
    const { requestStream, responseStream } = Rpc.grpcMethod<never, never>(name, method as never)
    assert.deepStrictEqual([requestStream, responseStream], [...streams])
  })
})
