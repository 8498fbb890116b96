// What can be asked for: every parameter with its range, default and words, as the service tells it.
import { get } from '../api/client';
import type { Models, Parameter, Schema, Style } from '../api/types';

class Catalog {
  schema = $state<Schema>({ parameters: [], samplers: [], schedules: [] });
  models = $state<Models>({ models: [], vaes: [], suggestions: [] });
  styles = $state<Style[]>([]);
  ready = $state(false);
  byName = $derived(new Map(this.schema.parameters.map((one) => [one.name, one])));

  async load(): Promise<void> {
    [this.schema, this.models, this.styles] = await Promise.all([
      get<Schema>('schema'),
      get<Models>('models'),
      get<Style[]>('styles'),
    ]);
    this.ready = true;
  }

  async loadModels(): Promise<void> {
    this.models = await get<Models>('models');
  }

  /** The model that draws when none is named. */
  get current() {
    return this.models.models.find((model) => model.current) ?? this.models.models[0];
  }

  choices(parameter: Parameter): (string | number)[] {
    switch (parameter.source) {
      case 'models':
        return this.models.models.map((model) => model.title);
      case 'vaes':
        return this.models.vaes;
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
