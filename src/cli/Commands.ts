export const run = async (_args: ReadonlyArray<string>): Promise<number> => 1
