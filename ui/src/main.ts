import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { look } from './state/look.svelte';

look.apply();
const target = document.getElementById('page');
if (!target) throw new Error('index.html has no #page');
mount(App, { target });
