// What can be asked for: every parameter with its range, default and words, as the service tells it.
import { get } from '../api/client';
import type { Model, Models, Parameter, Schema, Style } from '../api/types';
import { flatten } from './names';

const FACES = ['restore_faces', 'codeformer_weight']; // mean something where there is a restorer

class Catalog {
  schema = $state<Schema>({ parameters: [], groups: [], samplers: [], schedules: [] });
  models = $state<Models>({ models: [], vaes: [], suggestions: [] });
  styles = $state<Style[]>([]);
  defaults = $state<Record<string, unknown>>({}); // the service's own, over the schema's
  ready = $state(false);
  parameters = $derived(this.schema.parameters.filter((one) => this.models.face_restorers?.length || !FACES.includes(one.name)));
  byName = $derived(new Map(this.parameters.map((one) => [one.name, one])));

  async load(): Promise<void> {
    const [schema, models, styles, settings] = await Promise.all([
      get<Schema>('schema'),
      get<Models>('models'),
      get<Style[]>('styles'),
      get<{ defaults?: Record<string, unknown> }>('settings'),
    ]);
    this.schema = schema;
    this.models = models;
    this.styles = styles;
    this.defaults = Object.fromEntries(flatten(settings.defaults ?? {}));
    this.ready = true;
  }

  async loadModels(): Promise<void> {
    this.models = await get<Models>('models');
  }

  /** The model that draws when none is named. */
  get current(): Model | undefined {
    const { models } = this.models;
    return models.find((model) => model.current) ?? models.find((model) => model.box) ?? models[0];
  }

  /** Those of these parameters that the service knows. */
  named(names: string[]): Parameter[] {
    return names.flatMap((name) => this.byName.get(name) ?? []);
  }

  /** What a field holds until a person changes it. */
  usual(name: string): unknown {
    return name in this.defaults ? this.defaults[name] : this.byName.get(name)?.default;
  }

  choices(parameter: Parameter): (string | number)[] {
    switch (parameter.source) {
      case 'models':
        return this.models.models.filter((model) => model.usable).map((model) => model.title);
      case 'vaes':
        return this.models.vaes.map((vae) => vae.name);
      case 'upscalers':
        return [...(parameter.choices ?? []), ...(this.models.upscalers ?? [])];
      case 'face restorers':
        return [...(parameter.choices ?? []), ...(this.models.face_restorers ?? [])];
      case 'samplers':
        return this.schema.samplers;
      case 'schedules':
        return this.schema.schedules;
      case 'styles':
        return this.styles.map((style) => style.name);
      default:
        return parameter.choices ?? [];
    }
  }
}

export const catalog = new Catalog();
