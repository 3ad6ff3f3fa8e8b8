import { render } from 'preact';
import { App } from './views/app';
import { begin } from './state/start';
import './style.css';

begin();
render(<App />, document.getElementById('app')!);
