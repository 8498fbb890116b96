// Which tab is open; the address after # says it, so back, reload and bookmarks work.
export const TABS = ['draw', 'edit', 'enlarge', 'sweep', 'gallery', 'info', 'how', 'models', 'machine', 'settings'] as const;
export type Tab = (typeof TABS)[number];

function read(): Tab {
  const name = location.hash.replace(/^#\/?/, '');
  return TABS.find((tab) => tab === name) ?? 'draw';
}

class Route {
  tab = $state<Tab>(read());

  constructor() {
    addEventListener('hashchange', () => (this.tab = read()));
  }

  go(tab: Tab): void {
    location.hash = `/${tab}`;
  }
}

export const route = new Route();
