// One place that talks to the service.  Paths are relative, so the page works behind a prefix too.
import { clientId } from '../state/storage';

export const BASE = 'api/v1/';

/** What went wrong, in the service's words; code "unreachable" when there was no answer at all. */
export class ServiceError extends Error {
  constructor(
    readonly code: string,
    readonly what: string,
    readonly remedy = '',
    readonly field: string | null = null,
    readonly status = 0,
    readonly retryAfter: number | null = null,
  ) {
    super(what);
  }
}

async function answer(path: string, init: RequestInit): Promise<Response> {
  return asked(BASE + path, init);
}

async function asked(url: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('X-Inkwash-Client', clientId());
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, credentials: 'same-origin' });
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === 'AbortError') throw reason;
    throw new ServiceError('unreachable', '');
  }
  if (response.status === 401) dispatchEvent(new Event('inkwash-locked')); // the session has ended: App asks again
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ServiceError> {
  const body = await response.json().catch(() => ({}) as Record<string, unknown>);
  const wait = Number(response.headers.get('Retry-After'));
  return new ServiceError(
    String(body.error ?? response.status),
    String(body.message ?? response.statusText),
    String(body.remedy ?? ''),
    body.field ?? null,
    response.status,
    Number.isFinite(wait) && wait > 0 ? wait : null,
  );
}

async function read<T>(response: Response): Promise<T> {
  return (response.status === 204 ? null : await response.json()) as T;
}

function json(method: string, body: unknown): RequestInit {
  return { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? {}) };
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return read<T>(await answer(path, signal ? { signal } : {}));
}

export async function post<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return read<T>(await answer(path, signal ? { ...json('POST', body), signal } : json('POST', body)));
}

export async function patch<T>(path: string, body: unknown): Promise<T> {
  return read<T>(await answer(path, json('PATCH', body)));
}

export async function remove(path: string): Promise<void> {
  await answer(path, { method: 'DELETE' });
}

/** A picture by the address that the service told. */
export async function blobOf(url: string): Promise<Blob> {
  return (await asked(url, {})).blob();
}

/** What a service makes of a body, as a file. */
export async function file(path: string, body: unknown): Promise<Blob> {
  return (await answer(path, json('POST', body))).blob();
}

/** A picture's bytes as they are. */
export async function upload<T>(path: string, file: Blob): Promise<T> {
  const type = file.type || 'application/octet-stream';
  return read<T>(await answer(path, { method: 'POST', body: file, headers: { 'Content-Type': type } }));
}

/** "a=1&b=x" of what is set. */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== '');
  return new URLSearchParams(set.map(([key, value]) => [key, String(value)])).toString();
}
