// Language and theme: chosen by the browser until a person chooses.
import type { Job, Words } from '../api/types';
import table from '../words.json';
import { recall, remember } from './storage';

export type Language = 'en' | 'zh';
export type Theme = 'auto' | 'light' | 'dark';
export type Key = keyof typeof table;

const TABLE: Record<string, string[]> = table; // of a key: English, Chinese

function browserLanguage(): Language {
  return navigator.languages.find((tag) => /^(zh|en)/i.test(tag))?.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

class Look {
  language = $state<Language>(recall<Language | null>('language', null) ?? browserLanguage());
  theme = $state<Theme>(recall<Theme>('theme', 'auto'));

  speak(language: Language): void {
    this.language = language;
    remember('language', language);
    this.apply();
  }

  dress(theme: Theme): void {
    this.theme = theme;
    remember('theme', theme);
    this.apply();
  }

  apply(): void {
    document.documentElement.lang = this.language === 'zh' ? 'zh-CN' : 'en';
    document.documentElement.dataset['theme'] = this.theme;
  }
}

export const look = new Look();

function find(key: string): string | undefined {
  return TABLE[key]?.[look.language === 'zh' ? 1 : 0];
}

/** The words of a key in the page's language; {name} is filled in from values. */
export function t(key: Key, values?: Record<string, string | number>): string {
  const text = find(key) ?? '';
  return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
}

/** Words for a name that the service gave ("state.queued"), or the name itself where the page has none. */
export function named(prefix: string, name: string): string {
  return find(`${prefix}.${name}`) ?? name;
}

/** What the service said in both languages, or in one. */
export function said(words: Words | string | null | undefined): string {
  return typeof words === 'object' && words !== null ? words[look.language] : (words ?? '');
}

/** Of a job's picture, to who cannot see it. */
export function altOf(job: Job | undefined, index: number): string {
  return t('picture.alt', { n: index + 1, prompt: job?.request.prompt ?? '' });
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(look.language === 'zh' ? 'zh-CN' : 'en', { maximumFractionDigits: digits }).format(value);
}

export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = count > 0 ? Math.min(Math.floor(Math.log2(count) / 10), units.length - 1) : 0;
  return `${number(count / 1024 ** power, power > 2 ? 1 : 0)} ${units[power]}`;
}

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t('time.seconds', { s: whole });
  if (whole < 3600) return t('time.minutes', { m: Math.floor(whole / 60), s: whole % 60 });
  return t('time.hours', { h: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
}

/** Seconds since 1970 or an ISO text. */
export function moment(when: number | string): string {
  const date = new Date(typeof when === 'number' ? when * 1000 : when);
  return new Intl.DateTimeFormat(look.language === 'zh' ? 'zh-CN' : 'en', {
    dateStyle: 'medium',
    timeStyle: 'short',
  }).format(date);
}
