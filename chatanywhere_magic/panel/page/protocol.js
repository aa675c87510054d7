/**
 * What the kernel and the page say to each other, as types. Nothing here runs.
 *
 * @typedef {"queued" | "streaming" | "complete" | "interrupted" | "failed"} Status
 *
 * @typedef {object} Chip what went to the model beside the prompt
 * @property {string} name
 * @property {string} kind "text" or "image"
 * @property {number} size in characters of text or bytes of a picture
 *
 * @typedef {object} Head everything about a turn but its response
 * @property {string} prompt
 * @property {Chip[]} chips
 * @property {"cell" | "panel" | "api"} source
 * @property {string} cell the cell's id, "" where there is none
 * @property {number} started seconds since the epoch
 * @property {Status} status
 * @property {string} waiting what is being waited for, while nothing has come
 * @property {Problem | null} problem why it failed
 * @property {string} footer
 * @property {number} version counted from 1
 * @property {number} versions
 * @property {boolean} pinned
 * @property {string} calls the calls of tools that are on their way, made by the kernel's safe renderer
 * @property {Approval[]} approvals the calls that wait for an answer
 * @property {boolean} proceeds whether it ended between calls of tools, and can go on
 *
 * @typedef {object} Approval a call of a tool that waits for an answer
 * @property {string} id
 * @property {string} title
 * @property {string} html the whole call, made by the kernel's safe renderer
 * @property {("once" | "always" | "no")[]} answers
 * @property {boolean} trusts_turn whether "always" ends with the turn
 * @property {string | null} editable the text that the person may change before it runs
 *
 * @typedef {object} Problem
 * @property {string} words
 * @property {string} kind of the error, as in the kernel's `ChatError.kind`; "" where it is not known any more
 * @property {number | null} retry_at when it may be asked again, in seconds since the epoch, if the provider said so
 *
 * @typedef {object} Change what happened to a turn
 * @property {number} turn its index in the conversation
 * @property {Head} [head]
 * @property {boolean} [fresh] whether what the page has of its response is void
 * @property {string[]} [html] further finished pieces of the response, made by the kernel's safe renderer
 * @property {string} [tail] the open end of the response
 * @property {number} [keep] how much of the open end before stays in front of it
 * @property {string} [reasoning] further text of the reasoning
 *
 * @typedef {object} Header
 * @property {string} title
 * @property {string} provider
 * @property {string} model
 * @property {boolean} running
 * @property {number} used tokens that the next prompt is sent with
 * @property {number | null} limit
 * @property {boolean} estimated
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 * @property {string} system
 * @property {number | null} temperature
 * @property {number | null} max_tokens
 * @property {number | null} budget
 * @property {boolean} agent
 * @property {string} preset the one that holds now, "" if none does
 * @property {string[]} presets
 * @property {string[]} trouble why no prompt can be sent yet, in a few lines
 * @property {boolean} embedded whether the embedded model can be used
 *
 * @typedef {[turn: number, started: number, size: number]} Sketch of a turn that comes when the page asks for it; the
 *   size is in characters
 *
 * @typedef {object} Snapshot the conversation, for one page that has just opened
 * @property {"snapshot"} type
 * @property {string} page "" is every one
 * @property {number} sequence
 * @property {number[]} order the turns to show
 * @property {Change[]} changes
 * @property {Sketch[]} sketches of the turns that do not come by themselves
 * @property {Header | null} header null if it follows
 * @property {Record<string, string>} strings
 * @property {string} language
 * @property {{name: string, help: string, argument: boolean}[]} commands
 *
 * @typedef {{type: "fill", page: string, changes: Change[]}} Fill older turns, for one page
 *
 * @typedef {object} Changes
 * @property {"changes"} type
 * @property {number} sequence one more than the message before
 * @property {Change[]} changes
 * @property {number[]} [order]
 * @property {Header} [header]
 *
 * @typedef {{type: "answer", id: string, ok: boolean, data?: any, words?: string, kind?: string, may_send?: boolean}} Answer
 *   to a command. `words` and `kind`: why it was refused, as in a problem; `may_send`: it was refused for what looks like
 *   a key, and would not be if the person says so
 *
 * @typedef {Snapshot | Fill | Changes | Answer} FromKernel
 *
 * @typedef {object} AnyModel what anywidget hands to a front end
 * @property {(name: string) => any} get
 * @property {(content: object) => void} send
 * @property {(name: string, callback: (...parts: any[]) => void) => void} on
 * @property {(name: string, callback: (...parts: any[]) => void) => void} off
 * @property {any} widget_manager
 */
export {};
