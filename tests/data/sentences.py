# ruff: noqa: E501
"""Short reviews in many languages, written for these tests."""

from __future__ import annotations

SENTENCES = {
    "zh": "外卖送得很快，菜还是热的|等了两个小时，汤全洒了|包装很用心，下次还会再来|味道一般，价格有点贵|"
    "打电话也没人接，太差了|分量很足，推荐给大家|服务态度不好|很好吃|米饭太硬了，没法吃|一直都在这家点餐",
    "zh-Hant": "外送很快，東西也很好吃|等了兩個小時，湯全部灑了|包裝用心，服務親切，會再訂|飯是冷的，打電話也沒人接|"
    "份量十足，價錢實在|少送一份餐點，客服態度很差|這家的牛肉麵讓人失望|非常推薦給朋友|味道還不錯，就是太鹹|開車過去只要十分鐘",
    "ja": "配達が早くて、料理も温かかったです|二時間も待ったのに、スープがこぼれていました|包装がとても丁寧でした|"
    "また注文したいと思います|電話をしても誰も出ません|味は普通ですが、値段が高いです|量が少なくて残念でした|とてもおいしかった|"
    "ご飯が冷たくて食べられない|サービスが悪い",
    "ko": "배달이 빠르고 음식이 정말 맛있어요|두 시간을 기다렸는데 국이 다 쏟아졌어요|포장이 깔끔하고 친절합니다|"
    "음식이 차갑고 양이 적어요|다음에 또 주문할게요|전화를 해도 아무도 받지 않아요|가격이 너무 비싸요|최고예요|맛은 그냥 그래요|추천합니다",
    "ru": "Доставили быстро, еда была горячая|Ждали два часа, суп весь пролился|Очень вкусно, закажу ещё раз|"
    "Никто не берёт трубку, ужасно|Порции большие, цены хорошие|Курьер был вежлив|Остыло и совсем невкусно|Рекомендую всем друзьям",
    "uk": "Доставили швидко, їжа була гаряча|Чекали дві години, суп розлився|Дуже смачно, замовлю ще раз|"
    "Ніхто не бере слухавку, жах|Порції великі, ціни добрі|Кур'єр був чемний|Холодне й зовсім несмачне|Раджу всім друзям",
    "el": "Η παράδοση ήταν γρήγορη και το φαγητό ζεστό|Περιμέναμε δύο ώρες και η σούπα χύθηκε|"
    "Πολύ νόστιμο, θα ξαναπαραγγείλω|Κανείς δεν σηκώνει το τηλέφωνο|Μεγάλες μερίδες και καλές τιμές|Κρύο και άνοστο",
    "tr": "Teslimat çok hızlıydı, yemek sıcaktı|İki saat bekledik, çorba döküldü|Çok lezzetli, yine sipariş vereceğim|"
    "Telefona kimse bakmıyor, çok kötü|Porsiyonlar büyük, fiyatlar uygun|Soğuk ve tatsızdı, üzüldüm",
    "pl": "Dostawa była szybka, jedzenie gorące|Czekaliśmy dwie godziny, zupa się wylała|Bardzo smaczne, zamówię jeszcze raz|"
    "Nikt nie odbiera telefonu, okropność|Porcje są duże, ceny niezłe|Zimne i niesmaczne, żałuję",
    "cs": "Doručení bylo rychlé, jídlo ještě horké|Čekali jsme dvě hodiny, polévka se vylila|Moc chutné, příště objednám znovu|"
    "Nikdo nezvedá telefon, hrůza|Porce jsou veliké, ceny příznivé|Studené a vůbec ne dobré, škoda",
    "hu": "A kiszállítás gyors volt, az étel még meleg|Két órát vártunk, a leves kiömlött|Nagyon finom, legközelebb is rendelek|"
    "Senki sem veszi fel a telefont, szörnyű|Bőséges adag, jó árak|Hideg és íztelen, többször nem kérek ilyet",
    "fr": "Livraison très rapide, les plats étaient encore chauds|Deux heures d'attente et la soupe a coulé, quelle déception|"
    "Emballage soigné, je commanderai à nouveau|Personne ne répond au téléphone|La qualité est là, même si c'est un peu salé|"
    "Portions généreuses, prix corrects, livreur très poli",
    "de": "Die Lieferung war schnell und das Essen noch heiß|Zwei Stunden gewartet, die Suppe war übergelaufen|"
    "Schön verpackt, ich würde wieder bestellen|Das Gemüse war völlig kalt, enttäuschend|Große Portionen, günstige Preise|"
    "Niemand hört auf das Telefon, ärgerlich",
    "es": "La entrega fue rápida y la comida llegó caliente|Esperamos dos horas y la sopa se derramó, qué decepción|"
    "Muy rico, volveré a pedir mañana|Nadie contesta el teléfono, pésima atención|¿Por qué llegó fría?|El señor fue muy amable",
    "pt": "A entrega foi rápida e a refeição chegou quente|Esperámos duas horas e a sopa não prestava, que desilusão|"
    "Muito saboroso, vou pedir amanhã outra vez|Ninguém atende o telefone, péssimo serviço|Porções boas, preços razoáveis",
    "sv": "Leveransen gick snabbt och maten var fortfarande varm|Vi väntade två timmar och soppan hade runnit ut, så dåligt|"
    "Mycket gott, jag beställer gärna igen|Ingen svarar på telefonen|Stora portioner, bra pris, trevlig förare",
}
"""Language -> reviews, divided by bars."""

ENCODINGS = {
    "zh": ("gb18030", "gbk"),
    "zh-Hant": ("cp950", "big5hkscs", "gb18030"),
    "ja": ("cp932", "euc_jp", "iso2022_jp", "gb18030"),
    "ko": ("cp949", "euc_kr"),
    "ru": ("cp1251", "koi8_r", "iso8859_5", "cp866"),
    "uk": ("cp1251", "koi8_u"),
    "el": ("cp1253", "iso8859_7"),
    "tr": ("cp1254", "iso8859_9"),
    "pl": ("cp1250", "iso8859_2"),
    "cs": ("cp1250", "iso8859_2"),
    "hu": ("cp1250", "iso8859_2"),
    "fr": ("cp1252", "latin_1"),
    "de": ("cp1252", "latin_1"),
    "es": ("cp1252", "latin_1"),
    "pt": ("cp1252", "latin_1"),
    "sv": ("cp1252", "latin_1"),
}
"""Language -> the encodings its files come in."""

PAIRS = [(language, codec) for language, codecs in ENCODINGS.items() for codec in codecs]
