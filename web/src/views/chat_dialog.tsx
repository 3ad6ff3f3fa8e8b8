// What can be done to one chat of the list.
import { useState } from 'preact/hooks';
import { deleteChat } from '../state/answers';
import { change } from '../state/chats';
import { exportChats } from '../state/exchange';
import { complain } from '../state/notices';
import { closeDialog } from '../state/view';
import type { ChatSummary } from '../types';
import { Dialog } from './dialog';

export function ChatDialog({ chat }: { chat: ChatSummary }) {
  const [title, setTitle] = useState(chat.title);
  const [sure, setSure] = useState(false);
  return (
    <Dialog title={chat.title || 'Untitled chat'} close={closeDialog}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void change(chat.id, { title: title.trim() });
          closeDialog();
        }}
      >
        <label>
          Title
          <input type="text" maxLength={250} value={title} onInput={(event) => setTitle(event.currentTarget.value)} />
        </label>
        <div class="buttons">
          <button type="submit" class="button primary">
            Rename
          </button>
          <button type="button" class="button" onClick={() => exportChats(chat.id).catch(complain)}>
            Export
          </button>
          <button
            type="button"
            class="button danger"
            onClick={() => {
              if (!sure) return setSure(true);
              closeDialog();
              void deleteChat(chat.id);
            }}
          >
            {sure ? 'Delete it for good' : 'Delete…'}
          </button>
        </div>
        <p class="faint" role="status">
          {sure && 'Deleting leaves no trace of the chat in the store. Press again to delete.'}
        </p>
      </form>
    </Dialog>
  );
}
