// What the browser remembers.  Storage may be forbidden or full: then the page forgets, and works on.
const PREFIX = 'inkwash.';

export function recall<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function remember(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // private window or full: nothing to be done about it
  }
}

let client = '';

/** A random name of this browser: whose turn it is in the queue and whose jobs are listed. */
export function clientId(): string {
  client ||= recall('client', '');
  if (!client) {
    client = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    remember('client', client);
  }
  return client;
}
