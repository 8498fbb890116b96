// Names of parameters have dots where the request nests: "hires.scale" is {hires: {scale}}.

export function* flatten(values: Record<string, unknown>, prefix = ''): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(values)) {
    if (value && typeof value === 'object' && !Array.isArray(value)) {
      yield* flatten(value as Record<string, unknown>, `${prefix}${key}.`);
    } else yield [prefix + key, value];
  }
}

export function place(target: Record<string, unknown>, path: string[], value: unknown): void {
  const [first = '', ...rest] = path;
  if (rest.length === 0) target[first] = value;
  else place((target[first] ??= {}) as Record<string, unknown>, rest, value);
}
