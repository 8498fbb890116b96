// What the service says and hears; see docs/en/page.md and the service's OpenAPI document.

export type Words = { en: string; zh: string };

export type Parameter = {
  name: string; // dotted where the request nests: "hires.scale"
  kind: 'text' | 'integer' | 'number' | 'boolean' | 'choice' | 'list' | 'image' | 'regions';
  default: unknown;
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  choices: (string | number)[] | null;
  source: 'models' | 'vaes' | 'upscalers' | 'face restorers' | 'samplers' | 'schedules' | 'styles' | null;
  group: string;
  level: 'basic' | 'advanced';
  label: Words;
  help: Words;
};

export type Schema = {
  parameters: Parameter[];
  groups: { name: string; label: Words }[];
  samplers: string[];
  schedules: string[];
};

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | (string & {});

export type Facts = { seed?: number; subseed?: number; infotext?: string; width?: number; height?: number };

// picture: its id in the gallery
export type Item = { name: string; media: string; url: string; thumbnail: string | null; picture: string | null; facts: Facts };

/** The pictures among a job's items, in the request's order: they may be finished in another. */
export function picturesOf(job: Job | undefined): Item[] {
  const pictures = (job?.items ?? []).filter((item) => item.media.startsWith('image/'));
  return pictures.sort((a, b) => Number(a.name) - Number(b.name));
}

export type Progress = {
  picture: number; // index, from 0
  pictures: number;
  step: number; // from 1
  steps: number;
  fraction: number;
  seconds_left: number | null;
  stage: string | null;
};

export type Request = Record<string, unknown> & { prompt?: string };

export type Job = {
  id: string;
  kind: string;
  state: JobState;
  request: Request;
  created: number | string;
  started: number | string | null;
  finished: number | string | null;
  position: number | null; // jobs that go before it
  attempts: number;
  error: string | null;
  remedy: string | null;
  warnings: string[];
  interrupted: boolean; // ended early by wish
  origin: string; // "sweep": a cell of one; "enlarging": a pass of one
  items: Item[];
  progress: Progress | null;
};

export type Glimpse = Progress & { job: string; sigma: number | null; preview: string | null };

export type Picture = {
  id: string;
  url: string;
  thumbnail: string;
  width: number;
  height: number;
  created: number | string;
  infotext: string;
  prompt: string;
  negative_prompt: string;
  seed: number | null;
  model: string | null;
  favourite: boolean;
  job: string | null;
};

export type Inspection = {
  infotext: string;
  parameters: Record<string, unknown>;
  request: Request;
  width: number | null;
  height: number | null;
};

export type Token = { text: string; id: number; weight: number };
export type Advice = { where: string; message: Words | string };
export type Tokens = {
  chunks: { tokens: Token[]; used: number; size: number }[];
  count: number;
  limit: number;
  advice: Advice[];
};

export type Model = {
  title: string;
  name: string;
  hash: string | null;
  family: string | null;
  purpose: 'depth' | 'inpainting' | null; // what it draws over, beside noise
  native_size: number | null; // pixels a side that it was trained on
  dtype: string | null;
  prediction: string | null;
  has_ema: boolean;
  folder: boolean; // of diffusers, not a single file
  picture: string | null; // beside the file
  size: number | null; // bytes
  current: boolean;
  box: boolean; // ships with the program
  usable: boolean;
  note: Words | string | null;
};
export type Suggestion = { name: string; what: Words; url: string; gigabytes: number; licence: string; command: string };

/** All that a model's file tells, and what lies beside it. */
export type ModelFacts = Model & {
  details?: Record<string, unknown>;
  hashes: Record<string, string>;
  tags: Record<string, number>;
  words: string[];
  description: string;
  metadata: Record<string, string>;
  dtypes: Record<string, number>;
};

/** What a model is to be made of; as the command line has it. */
export type Making = {
  task: 'convert' | 'prune' | 'merge';
  sources: string[];
  name: string;
  dtype: string | null;
  folder?: boolean;
  ema?: boolean;
  alpha?: number;
  blocks?: string | null;
};
export type Plan = {
  file: string;
  tensors: number;
  bytes: number;
  dtypes: Record<string, number>;
  dropped: Record<string, number>;
  notes: string[];
  free: number;
  fits: boolean;
};
export type Models = { models: Model[]; vaes: { name: string; title: string }[]; upscalers?: string[]; face_restorers?: string[]; suggestions: Suggestion[]; folder?: string | null };

export type Style = { name: string; prompt: string; negative_prompt: string };

export type System = {
  version: string;
  device: string;
  dtype: string | null;
  memory: { total: number; free: number; process: number };
  worker: { state: string; pid: number | null; model: string | null; memory?: number; restarts?: number };
  queue: { queued: number; running: number };
  speed: { seconds_per_step: number } | null;
  uptime: number;
};

export type Session = { user: string | null; login_needed: boolean; language?: string | null };

export type Trace = {
  tokens: { text: string; index: number; weight: number }[];
  chunks: number;
  sigmas: number[];
  timesteps: number[];
  steps: { step: number; sigma: number; t: number; noisy: string; denoised: string }[];
  picture?: string;
  // sheet: the maps of every step, one below the other
  attention: { word: string; token_indexes: number[]; map: string; sheet?: string }[];
  cfg: { cfg: number; picture: string }[];
  noised?: { t: number; sigma?: number; picture: string }[];
};

export type LayeredFile = {
  width: number;
  height: number;
  layers: { name: string; image: string; x: number; y: number; visible: boolean; opacity: number; recipe: string }[]; // the lowest first
};

export type SweepPlan = {
  columns: string[];
  rows: string[];
  sheets: string[];
  captioned: boolean; // columns are words below the cells
  seed: number;
  cells: Request[];
};

/** One enlarging, and redrawing where road is set.  request: of a job that still lacks its picture. */
export type Pass = {
  kind: 'generate' | 'extras';
  width: number;
  height: number;
  upscaler: string;
  road: string | null;
  tiles: number | null;
  strength: number | null;
  memory: number | null; // bytes beside the weights, by estimate
  request: Request;
};
export type EnlargePlan = { passes: Pass[]; prompt: string; negative_prompt: string; model: string; free: number };
